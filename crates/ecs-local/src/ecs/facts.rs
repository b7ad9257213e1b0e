//! What the model of ECS must know of other services, which moto keeps.
//!
//! The model asks and never waits: it returns questions, its caller finds the answers and runs it again. So the model
//! is a pure function of time, requests and facts.

use std::collections::HashMap;

use super::error::Stop;

/// A question about something outside ECS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    /// An IAM role, by name.
    Role(String),
    /// A subnet, by id.
    Subnet(String),
    /// A security group, by id.
    SecurityGroup(String),
    /// A target group, by ARN.
    TargetGroup(String),
    /// An SSM parameter, by name.
    Parameter(String),
    /// A Secrets Manager secret, by name or ARN.
    Secret(String),
    /// An ECR repository, by name.
    Repository(String),
    /// A listener rule, or a network load balancer's listener, by ARN.
    Rule(String),
    /// Whether a role, by name, trusts ECS itself: `ecs.amazonaws.com`.
    Trust(String),
    /// A CloudWatch alarm, by name.
    Alarm(String),
    /// An image in ECR, by repository and tag or digest: "web:1", "web@sha256:…", "web:1@sha256:…".
    Image(String),
    /// A log group.
    LogGroup { region: String, name: String },
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fact {
    /// It is not there.
    Missing,
    /// It is there, and that is all that matters.
    Found,
    /// It is not there, and neither is anything like it: no image was ever pushed to the repository.
    Empty,
    /// An image.
    Image {
        /// Its digest: "sha256:…".
        digest: String,
    },
    /// A subnet.
    Subnet(Subnet),
    /// A target group.
    TargetGroup {
        /// Whether a listener or a rule forwards to it.
        attached: bool,
        /// Seconds for which a target drains.
        deregistration_delay: f64,
    },
    /// The target groups to which a rule forwards, with their weights.
    Rule {
        /// In the rule's order.
        weights: Vec<(String, i64)>,
    },
    /// An alarm.
    Alarm {
        /// Whether it is in ALARM.
        alarming: bool,
        /// Seconds for which it looks back.
        window: f64,
    },
}

/// Where a task gets its address.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Subnet {
    pub(crate) id: String,
    /// The availability zone: "us-east-1a".
    pub(crate) zone: String,
    /// The range: "10.0.1.0/24".
    pub(crate) range: String,
}

/// The answers so far. They hold for one call only: the next may find another world.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    known: HashMap<Question, Fact>,
    /// Tests: what is not known is there.
    #[cfg(test)]
    pub(crate) trusting: bool,
}

impl Facts {
    pub(crate) fn insert(&mut self, question: Question, fact: Fact) {
        self.known.insert(question, fact);
    }

    /// Stops with every question of these that has no answer yet.
    pub(crate) fn require(&self, questions: impl IntoIterator<Item = Question>) -> Result<(), Stop> {
        let mut open: Vec<Question> = Vec::new();
        for question in questions {
            if self.get(&question).is_none() && !open.contains(&question) {
                open.push(question);
            }
        }
        if open.is_empty() { Ok(()) } else { Err(Stop::Ask(open)) }
    }

    /// Whether something is there; what is not known is not.
    pub(crate) fn has(&self, question: &Question) -> bool {
        self.get(question).is_some_and(|fact| fact != Fact::Missing)
    }

    pub(crate) fn get(&self, question: &Question) -> Option<Fact> {
        let known = self.known.get(question).cloned();
        #[cfg(test)]
        if known.is_none() && self.trusting {
            return Some(match question {
                Question::Subnet(id) => {
                    Fact::Subnet(Subnet { id: id.clone(), zone: "us-east-1a".into(), range: "10.0.0.0/24".into() })
                }
                Question::TargetGroup(_) => Fact::TargetGroup { attached: true, deregistration_delay: 30.0 },
                Question::Rule(_) => Fact::Rule { weights: vec![("arn:tg".to_owned(), 1), ("arn:tg2".to_owned(), 0)] },
                Question::Alarm(_) => Fact::Alarm { alarming: false, window: 60.0 },
                Question::Image(reference) => Fact::Image { digest: crate::ecr::digest(reference.as_bytes()) },
                Question::Role(_)
                | Question::Trust(_)
                | Question::SecurityGroup(_)
                | Question::Parameter(_)
                | Question::Secret(_)
                | Question::Repository(_)
                | Question::LogGroup { .. } => Fact::Found,
            });
        }
        known
    }
}
