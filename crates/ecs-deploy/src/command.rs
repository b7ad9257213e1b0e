//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ecs_core::program::{Files, Flags};

use crate::image::Asked;

const EXAMPLES: &str = "Examples:
  ecs-deploy --image backend=backend-repo:4f2a1c9 < stack.json
  ecs-deploy --image frontend=:4f2a1c9 --image backend=:4f2a1c9 < stack.json
  ecs-deploy --cluster prod --service web --image 123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:7
  ecs-deploy --image backend=:4f2a1c9 --run 'npm run migrate' < stack.json
  ecs-deploy --image web=:4f2a1c9 --strategy canary --percent 25 --bake 10m < stack.json
  ecs-deploy plan --image backend=:4f2a1c9 < stack.json
  ecs-deploy --service backend --force < stack.json
  ecs-deploy wait arn:aws:ecs:…:service-deployment/prod/web/…
  ecs-deploy rollback --service backend < stack.json
  ecs-deploy status < stack.json
  ecs-deploy run --service backend -- npm run report < stack.json";

/// Deploy a new image to ECS services, and tell by the exit code what became of it
#[derive(Debug, Parser)]
#[command(name = "ecs-deploy", version, disable_help_subcommand = true, after_help = after_help())]
pub struct Line {
    #[command(flatten)]
    pub files: Files,
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub change: Change,
    #[command(flatten)]
    pub flags: Flags,
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

fn after_help() -> String {
    format!("{EXAMPLES}\n\n{}", ecs_core::program::EXIT_CODES)
}

/// Where the services are.
#[derive(Debug, Clone, Default, Args)]
pub struct Place {
    /// Deploy to services of this cluster, by name or ARN, instead of those of a stack document
    #[arg(long)]
    pub cluster: Option<String>,
    /// Only this service, by its key in the stack file or by its name in ECS; may be given several times
    #[arg(long, value_name = "SERVICE")]
    pub service: Vec<String>,
}

impl Place {
    /// Puts together what stood before the verb and after it.
    #[must_use]
    pub fn with(self, after: Self) -> Self {
        let service = self.service.into_iter().chain(after.service).collect();
        Self { cluster: after.cluster.or(self.cluster), service }
    }
}

/// What is to change.
#[derive(Debug, Clone, Default, Args)]
pub struct Change {
    /// Put this image in: SERVICE=REPOSITORY:TAG, SERVICE=:TAG for the repository that it runs from, SERVICE/CONTAINER=…
    /// for another container; with --cluster [CONTAINER=]URI. A name without a registry is a repository of your ECR
    #[arg(long = "image", value_name = "[NAME=]IMAGE", value_parser = Asked::parse)]
    pub images: Vec<Asked>,
    /// Keep the tag in the task definition, instead of the digest that it stands for now
    #[arg(long)]
    pub no_pin: bool,
    /// Set an environment variable of the container; never a secret value: see --secret
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = pair)]
    pub environment: Vec<(String, String)>,
    /// Take a secret variable from a parameter or secret, by name or ARN
    #[arg(long = "secret", value_name = "NAME=SOURCE", value_parser = pair)]
    pub secrets: Vec<(String, String)>,
    /// CPU units of the task: 256, 512, 1024 …
    #[arg(long)]
    pub cpu: Option<u32>,
    /// Memory of the task in MiB
    #[arg(long)]
    pub memory: Option<u32>,
    /// Take the task definition from FILE (JSON, as `aws ecs describe-task-definition` prints it) instead of the one that runs
    #[arg(long, value_name = "FILE")]
    pub task_definition: Option<PathBuf>,
    /// Deploy even when nothing differs: tasks then read changed secrets
    #[arg(long)]
    pub force: bool,
    /// First run this command as a one-off task of the new revision; only if it exits with 0, deploy
    #[arg(long, value_name = "COMMAND", value_parser = words)]
    pub run: Option<Words>,
    /// How traffic moves to the new version; stays with the service until it is changed [default: the service's]
    #[arg(long, value_enum)]
    pub strategy: Option<StrategyName>,
    /// Canary: share of the traffic at first (0.1 to 100); linear: share of each step (3 to 100)
    #[arg(long, value_name = "PERCENT", requires = "strategy")]
    pub percent: Option<f64>,
    /// Blue/green, linear: how long both versions stay after the traffic has moved; canary: how long the first share is watched
    #[arg(long, value_name = "DURATION", value_parser = minutes, requires = "strategy")]
    pub bake: Option<i32>,
    /// Linear: time between two steps
    #[arg(long, value_name = "DURATION", value_parser = minutes, requires = "strategy")]
    pub every: Option<i32>,
    /// Roll back when this CloudWatch alarm goes off; stays with the service; may be given several times
    #[arg(long = "alarm", value_name = "NAME")]
    pub alarms: Vec<String>,
    /// Deploy although an alarm is ringing: ECS then ignores all alarms of this deployment
    #[arg(long)]
    pub ignore_alarms: bool,
    /// Pause before this until `ecs-deploy continue`; stays with the service; `nothing` takes pauses away
    #[arg(long, value_enum)]
    pub pause_before: Option<Pause>,
    /// Stop and roll back as soon as a task fails for a reason that trying again cannot mend
    #[arg(long)]
    pub fail_fast: bool,
    /// Return as soon as the deployment has begun: follow it with `ecs-deploy wait`
    #[arg(long)]
    pub detach: bool,
    /// Wait no longer than until this
    #[arg(long, value_enum, default_value_t)]
    pub until: Until,
}

/// How traffic moves to the new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StrategyName {
    /// Tasks are replaced one after the other
    Rolling,
    /// All at once, with the old version beside it for a while
    BlueGreen,
    /// A small share first, and after a while the rest
    Canary,
    /// In equal steps
    Linear,
}

/// Where a deployment pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pause {
    /// Before production traffic moves, at each step of it
    Traffic,
    /// After all traffic has moved, while the old version is still there
    Bake,
    /// Nowhere any more
    Nothing,
}

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Until {
    /// Until the new version has all production traffic
    TrafficShifted,
    /// Until the new version has all traffic and the bake time begins
    Bake,
    /// Until ECS says how it ended
    #[default]
    Done,
}

/// What to do; without a verb, deploy.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Say what would change, and change nothing
    Plan {
        /// Exit with 3 when something would change
        #[arg(long)]
        exit_code: bool,
        #[command(flatten)]
        files: Files,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        change: Box<Change>,
    },
    /// Run a one-off task with a service's task definition and network, and pass its exit code on
    Run {
        /// Number of tasks, 1 to 10
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=10))]
        count: i32,
        /// Return as soon as the tasks have begun
        #[arg(long)]
        detach: bool,
        #[command(flatten)]
        files: Files,
        #[command(flatten)]
        place: Place,
        /// Command and arguments, instead of the container's own
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Follow a deployment to its end, from anywhere
    Wait {
        /// Wait no longer than until this
        #[arg(long, value_enum, default_value_t)]
        until: Until,
        #[command(flatten)]
        which: Which,
    },
    /// Let a paused deployment go on, and follow it
    Continue {
        #[command(flatten)]
        which: Which,
    },
    /// Stop a deployment that is under way and go back to the version before; exits with 0 when that is done
    Abort {
        #[command(flatten)]
        which: Which,
    },
    /// Go back: stop what is under way, or deploy the last version that was successful before this one
    Rollback {
        /// Go back to this revision: FAMILY:NUMBER, or its number
        #[arg(long, value_name = "REVISION")]
        to: Option<String>,
        #[command(flatten)]
        files: Files,
        #[command(flatten)]
        place: Place,
    },
    /// Say how services are, and why they are not well
    Status {
        #[command(flatten)]
        files: Files,
        #[command(flatten)]
        place: Place,
    },
    /// Print the least IAM policy that this program needs
    Policy,
    /// Print the JSON Schema of the report
    Schema,
    /// Print the completions for a shell
    Completions {
        /// Shell to complete in
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// Which deployment: by its ARN, or the one under way of a service.
#[derive(Debug, Clone, Default, Args)]
pub struct Which {
    /// ARN of the service deployment
    #[arg(value_name = "ARN", conflicts_with_all = ["cluster", "service"])]
    pub arn: Option<String>,
    #[command(flatten)]
    pub files: Files,
    #[command(flatten)]
    pub place: Place,
}

/// What every verb needs of the command line.
#[derive(Debug)]
pub struct Run {
    /// Flags that every program has
    pub flags: Flags,
    /// The stack's files
    pub files: Vec<PathBuf>,
}

impl Change {
    /// Puts together what stood before the verb and after it.
    #[must_use]
    pub fn with(self, after: Self) -> Self {
        let join = |before: Vec<_>, after: Vec<_>| before.into_iter().chain(after).collect();
        Self {
            images: self.images.into_iter().chain(after.images).collect(),
            no_pin: self.no_pin || after.no_pin,
            environment: join(self.environment, after.environment),
            secrets: join(self.secrets, after.secrets),
            cpu: after.cpu.or(self.cpu),
            memory: after.memory.or(self.memory),
            task_definition: after.task_definition.or(self.task_definition),
            force: self.force || after.force,
            run: after.run.or(self.run),
            strategy: after.strategy.or(self.strategy),
            percent: after.percent.or(self.percent),
            bake: after.bake.or(self.bake),
            every: after.every.or(self.every),
            alarms: self.alarms.into_iter().chain(after.alarms).collect(),
            ignore_alarms: self.ignore_alarms || after.ignore_alarms,
            pause_before: after.pause_before.or(self.pause_before),
            fail_fast: self.fail_fast || after.fail_fast,
            detach: self.detach || after.detach,
            until: if after.until == Until::Done { self.until } else { after.until },
        }
    }
}

/// A command, split into words as a shell does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

fn words(text: &str) -> Result<Words, String> {
    match shell_words::split(text) {
        Ok(words) if words.is_empty() => Err("there is no command".to_owned()),
        Ok(words) => Ok(Words(words)),
        Err(error) => Err(error.to_string()),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    if name.is_empty() {
        return Err("it must be NAME=VALUE".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// Reads a bake time: whole minutes, 24 hours at most
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CanaryConfiguration.html>).
fn minutes(text: &str) -> Result<i32, String> {
    let duration: Duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let seconds = duration.as_secs();
    if !seconds.is_multiple_of(60) || duration.subsec_nanos() > 0 {
        return Err("ECS counts it in whole minutes, such as 10m".to_owned());
    }
    match i32::try_from(seconds / 60) {
        Ok(minutes @ 0..=1440) => Ok(minutes),
        Ok(_) | Err(_) => Err("ECS takes 24 hours at most".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Line::command().debug_assert();
    }

    #[test]
    fn flags_before_and_after_the_verb_count_alike() {
        let line = Line::parse_from(["ecs-deploy", "--image", "a=r:1", "plan", "--image", "b=r:2", "--force"]);
        let Some(Verb::Plan { change, .. }) = line.verb else { panic!("a plan") };
        let change = line.change.with(*change);
        assert_eq!((change.images.len(), change.force), (2, true));
    }

    #[test]
    fn bake_times_are_whole_minutes() {
        assert_eq!(minutes("10m"), Ok(10));
        assert_eq!(minutes("1h 30m"), Ok(90));
        for text in ["90s", "25h", "ten"] {
            assert!(minutes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_command_is_split_as_a_shell_does() {
        let words = |text: &str| words(text).map(|words| words.0);
        let expected = ["sh", "-c", "a && b"].map(str::to_owned).to_vec();
        assert_eq!(words("sh -c 'a && b'"), Ok(expected));
        assert!(words("  ").is_err() && words("'open").is_err());
    }
}
