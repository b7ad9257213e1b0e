//! The sizes that Fargate offers.

/// CPU units, and the least, the greatest and the step of the memory in MiB that goes with them.
///
/// Source: the documentation of `RegisterTaskDefinition`'s `cpu` and `memory`. 256 CPU units have 512 MiB besides the
/// steps of 1024; 512 and 1024 follow the table's own rows.
const SIZES: [(u32, u32, u32, u32); 7] = [
    (256, 512, 2048, 1024),
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16384, 1024),
    (4096, 8192, 30720, 1024),
    (8192, 16384, 61440, 4096),
    (16384, 32768, 122_880, 8192),
];

/// Returns the CPU units that Fargate offers, ascending.
pub fn cpu_options() -> Vec<u32> {
    SIZES.iter().map(|size| size.0).collect()
}

/// Returns the memory in MiB that goes with CPU units, ascending; nothing where Fargate does not offer the CPU units.
pub fn memory_options(cpu: u32) -> Vec<u32> {
    let Some(&(_, least, greatest, step)) = SIZES.iter().find(|size| size.0 == cpu) else { return Vec::new() };
    // 512 MiB, which only 256 CPU units have, is no multiple of the step.
    let first_step = least.next_multiple_of(step);
    let mut options: Vec<u32> = (first_step..=greatest).step_by(step as usize).collect();
    if least != first_step {
        options.insert(0, least);
    }
    options
}

/// Says whether Fargate offers the memory in MiB with the CPU units.
pub fn is_offered(cpu: u32, memory: u32) -> bool {
    memory_options(cpu).contains(&memory)
}

/// Returns the nearest pair of CPU units and MiB that Fargate offers: the smallest that has at least what is asked for
/// of both, else the largest.
pub fn nearest(cpu: u32, memory: u32) -> (u32, u32) {
    let largest = (16384, 122_880);
    SIZES
        .iter()
        .filter(|size| size.0 >= cpu)
        .find_map(|size| memory_options(size.0).into_iter().find(|&option| option >= memory).map(|m| (size.0, m)))
        .unwrap_or(largest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_table_is_the_documented_one() {
        assert_eq!(cpu_options(), [256, 512, 1024, 2048, 4096, 8192, 16384]);
        assert_eq!(memory_options(256), [512, 1024, 2048]);
        assert_eq!(memory_options(512), [1024, 2048, 3072, 4096]);
        assert_eq!(memory_options(1024), [2048, 3072, 4096, 5120, 6144, 7168, 8192]);
        assert_eq!(memory_options(2048).len(), 13);
        assert_eq!(memory_options(4096).len(), 23);
        assert_eq!(memory_options(8192), (4..=15).map(|n| n * 4096).collect::<Vec<_>>());
        assert_eq!(memory_options(16384), (4..=15).map(|n| n * 8192).collect::<Vec<_>>());
        assert!(memory_options(300).is_empty());
    }

    #[test]
    fn the_nearest_pair_gives_no_less_than_asked() {
        for (asked, given) in [
            ((256, 512), (256, 512)),
            ((256, 4096), (512, 4096)),
            ((512, 1000), (512, 1024)),
            ((1024, 512), (1024, 2048)),
            ((300, 512), (512, 1024)),
            ((0, 0), (256, 512)),
            ((4096, 31000), (8192, 32768)),
            ((20000, 200_000), (16384, 122_880)),
        ] {
            assert_eq!(nearest(asked.0, asked.1), given, "{asked:?}");
        }
    }

    proptest! {
        #[test]
        fn the_nearest_pair_is_offered_and_the_smallest(cpu in 0u32..20000, memory in 0u32..140_000) {
            let near = nearest(cpu, memory);
            prop_assert!(is_offered(near.0, near.1));
            prop_assert_eq!(nearest(near.0, near.1), near);
            if cpu <= 16384 && memory <= 122_880 {
                prop_assert!(near.0 >= cpu && near.1 >= memory);
            }
            for offered in cpu_options() {
                for option in memory_options(offered) {
                    if offered >= cpu && option >= memory {
                        prop_assert!(near <= (offered, option));
                    }
                }
            }
        }
    }
}
