//! What is said of one service while it is worked on: lines on stderr, and on a terminal a live view below them.

use std::io::IsTerminal as _;
use std::rc::Rc;

use ecs_core::console::Console;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Time between two pictures of a spinner, in milliseconds.
const TICK: u64 = 120;

/// Speaks for the whole program.
#[derive(Debug, Clone)]
pub struct Screen {
    console: Console,
    live: Option<Rc<MultiProgress>>,
}

/// Speaks about one service.
#[derive(Debug, Clone)]
pub struct Voice {
    screen: Screen,
    /// What the lines begin with, where there are several services
    prefix: String,
    line: Option<ProgressBar>,
}

impl Screen {
    /// Makes it; with a live view where stderr is a terminal that this program has to itself: behind a pipe, there are
    /// other programs that write to it.
    pub fn new(console: &Console, live: bool) -> Self {
        let live = live && std::io::stderr().is_terminal() && !ecs_core::program::stdin_is_pipe();
        Self { console: console.clone(), live: live.then(|| Rc::new(MultiProgress::new())) }
    }

    /// Makes the voice of one service; `alone`: it is the only one.
    pub fn voice(&self, key: &str, alone: bool) -> Voice {
        let line = self.live.as_ref().map(|live| {
            let line = live.add(ProgressBar::new_spinner());
            // The template is a constant, and a bad one only looks worse.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                line.set_style(style);
            }
            line.enable_steady_tick(std::time::Duration::from_millis(TICK));
            line
        });
        let prefix = if alone { String::new() } else { format!("{key}: ") };
        Voice { screen: self.clone(), prefix, line }
    }

    /// Writes lines above the live view.
    fn above(&self, write: impl FnOnce(&Console)) {
        match &self.live {
            Some(live) => live.suspend(|| write(&self.console)),
            None => write(&self.console),
        }
    }
}

impl Voice {
    /// Says that something has changed, or is being waited for.
    pub fn say(&self, event: &str, message: &str) {
        self.screen.above(|console| console.say(event, &format!("{}{message}", self.prefix)));
    }

    /// Says something that only matters to who looks closely.
    pub fn detail(&self, event: &str, message: &str) {
        self.screen.above(|console| console.detail(event, &format!("{}{message}", self.prefix)));
    }

    /// Warns of something that will not stop the program.
    pub fn warn(&self, message: &str) {
        self.screen.above(|console| console.warn(&format!("{}{message}", self.prefix)));
    }

    /// Reports a failure.
    pub fn error(&self, error: &ecs_core::Error) {
        self.screen.above(|console| ecs_core::program::report(console, error));
    }

    /// Shows how it stands, in the live view.
    pub fn show(&self, message: String) {
        if let Some(line) = &self.line {
            line.set_message(format!("{}{message}", self.prefix));
        }
    }

    /// Takes its line out of the live view.
    pub fn end(&self) {
        if let Some(line) = &self.line {
            line.finish_and_clear();
        }
    }
}
