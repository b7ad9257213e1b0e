//! Every call and every fault: whatever befalls a run, running the same line again ends in the one right stack.
//!
//! A clean run is recorded first. Then each of its calls has a run for each fault, and after it a run on a fine day; the stack must
//! be that of the clean run, resource by resource. A destroy with a fault of its own follows, and a second one; nothing may be left.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table and the progress are what it is for")]

mod case;
mod cloud;

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::task::JoinSet;

use case::{Case, Fault, Verdict};
use cloud::Ground;

/// After how many pairs a line says that it lives.
const SAY_EVERY: usize = 10;

/// Longest time for one pair: a run takes about a second, so a pair that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(240);

/// Try faults on every call of a create and a destroy of the tutorial stack
#[derive(Debug, Parser)]
struct Arguments {
    /// Try every fault on every call, not a sample
    #[arg(long)]
    all: bool,
    /// Try about so many pairs, evenly chosen
    #[arg(long, default_value_t = 42, value_name = "PAIRS", conflicts_with = "all")]
    sample: usize,
    /// Try so many pairs at the same time [default: one for each processor]
    #[arg(long, short)]
    jobs: Option<NonZero<usize>>,
    /// Try only cases whose name holds this: `ec2:CreateVpc`, `lost`
    #[arg(long)]
    only: Option<String>,
}

/// A create with a fault and a destroy with one.
#[derive(Clone, Debug)]
struct Pair {
    create: Option<Case>,
    destroy: Option<Case>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let started = Instant::now();
    let ground = Ground::start().await;
    let (clean, creates, destroys) = ground.clean_run().await;
    let only = |case: &Case| arguments.only.as_deref().is_none_or(|wanted| case.to_string().contains(wanted));
    let creates: Vec<Case> = cases("create", &creates).into_iter().filter(only).collect();
    let destroys: Vec<Case> = cases("destroy", &destroys).into_iter().filter(only).collect();
    let every = pairs(&creates, &destroys);
    let chosen = if arguments.all { every.clone() } else { sample(&every, arguments.sample) };
    eprintln!(
        "{} creates and {} destroys with a fault each; trying {} of {} pairs",
        creates.len(),
        destroys.len(),
        chosen.len(),
        every.len()
    );

    let jobs = arguments.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let queue = Arc::new(Mutex::new(VecDeque::from(chosen)));
    let mut workers = JoinSet::new();
    for _ in 0..jobs {
        workers.spawn(work(Arc::clone(&queue), clean.clone()));
    }
    let verdicts: Vec<Verdict> = workers.join_all().await.into_iter().flatten().collect();
    report(&verdicts);
    let failed = verdicts.iter().filter(|verdict| verdict.failure.is_some()).count();
    println!("{} passed, {failed} failed in {} s", verdicts.len() - failed, started.elapsed().as_secs());
    if failed == 0 && !verdicts.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Takes pairs from the queue until none is left.
async fn work(queue: Arc<Mutex<VecDeque<Pair>>>, clean: String) -> Vec<Verdict> {
    let mut ground = Ground::start().await;
    let mut verdicts = Vec::new();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(pair) = next else { return verdicts };
        let tried = tokio::time::timeout(PATIENCE, try_pair(&mut ground, &pair, &clean)).await;
        let found = tried.unwrap_or_else(|_| {
            let cases = [&pair.create, &pair.destroy].into_iter().flatten();
            let why = format!("hangs: not at its end after {} s\n{}", PATIENCE.as_secs(), ground.said());
            cases.map(|case| Verdict { case: case.clone(), came_through: false, failure: Some(why.clone()) }).collect()
        });
        for verdict in found.iter().filter(|verdict| verdict.failure.is_some()) {
            eprintln!("FAILED {}: {}", verdict.case, verdict.failure.as_deref().unwrap_or_default());
        }
        // What is half done may go on: a new ground for the next pair.
        if found.iter().any(|verdict| verdict.failure.is_some()) {
            ground = Ground::start().await;
        }
        verdicts.extend(found);
        let left = queue.lock().unwrap_or_else(PoisonError::into_inner).len();
        if left.is_multiple_of(SAY_EVERY) {
            eprintln!("{left} pairs to go");
        }
    }
}

async fn try_pair(ground: &mut Ground, pair: &Pair, clean: &str) -> Vec<Verdict> {
    ground.reset().await;
    let mut verdicts = Vec::new();
    if let Some(case) = &pair.create {
        verdicts.push(ground.create(case, clean).await);
    } else {
        ground.create_cleanly().await;
    }
    if let Some(case) = &pair.destroy
        && verdicts.iter().all(|verdict| verdict.failure.is_none())
    {
        verdicts.push(ground.destroy(case).await);
    }
    verdicts
}

/// Every fault on each of these calls, named as `service:Operation`.
fn cases(verb: &'static str, calls: &[String]) -> Vec<Case> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut cases = Vec::new();
    for call in calls {
        let count = seen.entry(call).or_default();
        cases.extend(Fault::ALL.map(|fault| Case { verb, call: call.clone(), after: *count, fault }));
        *count += 1;
    }
    cases
}

/// Creates and destroys side by side; the longer list decides.
fn pairs(creates: &[Case], destroys: &[Case]) -> Vec<Pair> {
    let length = creates.len().max(destroys.len());
    (0..length).map(|at| Pair { create: creates.get(at).cloned(), destroy: destroys.get(at).cloned() }).collect()
}

/// An even choice: the step has no divisor in common with the number of faults, so every fault comes up.
fn sample(pairs: &[Pair], wanted: usize) -> Vec<Pair> {
    let mut step = (pairs.len() / wanted.max(1)).max(1);
    while gcd(step, Fault::ALL.len()) > 1 {
        step += 1;
    }
    pairs.iter().step_by(step).cloned().collect()
}

fn gcd(one: usize, other: usize) -> usize {
    if other == 0 { one } else { gcd(other, one % other) }
}

/// Prints, for each verb and fault, how many passed, and in how many the faulty run itself came through.
fn report(verdicts: &[Verdict]) {
    let mut rows: BTreeMap<(&str, Fault), (usize, usize, usize)> = BTreeMap::new();
    for verdict in verdicts {
        let row = rows.entry((verdict.case.verb, verdict.case.fault)).or_default();
        row.0 += 1;
        row.1 += usize::from(verdict.failure.is_none());
        row.2 += usize::from(verdict.came_through);
    }
    println!("{:<8} {:<30} {:>6} {:>7} {:>24}", "verb", "fault", "cases", "passed", "first run came through");
    for ((verb, fault), (cases, passed, came_through)) in rows {
        println!("{verb:<8} {:<30} {cases:>6} {passed:>7} {came_through:>24}", fault.to_string());
    }
}
