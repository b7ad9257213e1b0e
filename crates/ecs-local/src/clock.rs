//! The scaled clock: how much simulated time has gone by, and what a clock on the wall says about it.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The relation between simulated time and real time.
///
/// Simulated time is in seconds since the start. Whatever is reported to a client is real time, so that a client
/// may compare it with its own clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Seconds since the Unix epoch when simulated time was zero.
    pub(crate) epoch: f64,
    /// Simulated seconds per real second; zero: nothing takes time.
    pub(crate) speed: f64,
}

impl Scale {
    /// How long something that takes `seconds` in AWS takes here, in simulated seconds.
    pub(crate) fn lasts(&self, seconds: f64) -> f64 {
        if self.speed == 0.0 { 0.0 } else { seconds }
    }

    /// The real time, in seconds since the Unix epoch with milliseconds, of a simulated time.
    pub(crate) fn wall(&self, simulated: f64) -> f64 {
        let seconds = self.epoch + simulated / self.rate();
        (seconds * 1000.0).round() / 1000.0
    }

    /// Simulated seconds per real second; time itself goes on at its own pace where nothing takes time.
    fn rate(&self) -> f64 {
        if self.speed == 0.0 { 1.0 } else { self.speed }
    }
}

/// A running clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub(crate) scale: Scale,
    started: Instant,
}

impl Clock {
    /// Starts a clock at `speed` simulated seconds per real second.
    pub(crate) fn start(speed: f64) -> Clock {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
        Clock { scale: Scale { epoch, speed }, started: Instant::now() }
    }

    /// The simulated time, in seconds since the start.
    pub(crate) fn now(&self) -> f64 {
        self.started.elapsed().as_secs_f64() * self.scale.rate()
    }

    /// The real time since the start, in milliseconds.
    pub(crate) fn real_ms(&self) -> f64 {
        (self.started.elapsed().as_secs_f64() * 1e6).round() / 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_at_speed_sixty_is_a_second_on_the_wall() {
        let scale = Scale { epoch: 1000.0, speed: 60.0 };
        assert_eq!(scale.wall(60.0), 1001.0);
        assert_eq!(scale.lasts(10.0), 10.0);
    }

    #[test]
    fn at_speed_zero_nothing_takes_time() {
        let scale = Scale { epoch: 1000.0, speed: 0.0 };
        assert_eq!(scale.lasts(10.0), 0.0);
        assert_eq!(scale.wall(2.5), 1002.5);
    }
}
