//! The engine, with a cloud in memory, on a paused clock.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures::join;
use tokio::time::Instant;

use super::*;

use crate::console::{LogFormat, Verbosity};
use crate::document::End;
use crate::error::All as _;
use crate::resource::Health;

/// A cloud in memory: what exists, and every call that was made.
#[derive(Debug, Default)]
struct Cloud {
    things: RefCell<BTreeMap<String, Live>>,
    calls: RefCell<Vec<String>>,
    /// Errors that the next calls of an operation answer, after they took effect or instead.
    faults: RefCell<Vec<(&'static str, Kind, Effect)>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Effect {
    Before,
    After,
}

#[derive(Debug, Clone)]
struct Live {
    size: u32,
    owner: Owner,
    ready_at: Instant,
    failed: bool,
    /// Somebody deletes it: when it will be gone.
    gone_at: Option<Instant>,
}

impl Cloud {
    fn call(&self, operation: &'static str, name: &str, effect: impl FnOnce()) -> Result<()> {
        self.calls.borrow_mut().push(format!("{operation} {name}"));
        let index = self.faults.borrow().iter().position(|fault| fault.0 == operation);
        let fault = index.map(|index| self.faults.borrow_mut().remove(index));
        match fault {
            Some((_, kind, Effect::Before)) => Err(Error::new(kind, "fault")),
            Some((_, kind, Effect::After)) => {
                effect();
                Err(Error::new(kind, "fault"))
            }
            None => {
                effect();
                Ok(())
            }
        }
    }

    fn writes(&self) -> Vec<String> {
        self.calls.borrow().iter().filter(|call| !call.starts_with("find")).cloned().collect()
    }

    fn has(&self, name: &str) -> bool {
        self.things.borrow().contains_key(name)
    }
}

/// A thing that becomes ready some time after it was made, and cannot go while another stands on it.
#[derive(Debug, Clone)]
struct Thing {
    name: &'static str,
    size: u32,
    takes: Duration,
    under: &'static [&'static str],
    fails: bool,
}

impl Thing {
    fn new(name: &'static str) -> Self {
        Self { name, size: 1, takes: Duration::ZERO, under: &[], fails: false }
    }

    fn taking(self, seconds: u64) -> Self {
        Self { takes: Duration::from_secs(seconds), ..self }
    }

    fn under(self, under: &'static [&'static str]) -> Self {
        Self { under, ..self }
    }
}

impl Resource for Thing {
    type Api = Rc<Cloud>;
    type Live = Live;
    const KIND: &'static str = "thing";
    const PATIENCE: Duration = Duration::from_secs(600);

    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn id(&self, _live: &Live) -> String {
        format!("id-{}", self.name)
    }

    fn planned(&self) -> Live {
        let ready_at = Instant::now() + self.takes;
        Live { size: self.size, owner: Owner::Ours, ready_at, failed: self.fails, gone_at: None }
    }

    async fn find(&self, cloud: &Rc<Cloud>) -> Result<Option<Live>> {
        cloud.call("find", self.name, || ())?;
        cloud.things.borrow_mut().retain(|_, live| live.gone_at.is_none_or(|gone_at| Instant::now() < gone_at));
        Ok(cloud.things.borrow().get(self.name).cloned())
    }

    async fn create(&self, cloud: &Rc<Cloud>) -> Result<Live> {
        let live = self.planned();
        cloud.call("create", self.name, || {
            cloud.things.borrow_mut().insert(self.name.to_owned(), live.clone());
        })?;
        Ok(live)
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        Change::of("size", &live.size, &self.size).into_iter().collect()
    }

    async fn update(&self, cloud: &Rc<Cloud>, _live: &Live, _changes: &[Change]) -> Result<()> {
        cloud.call("update", self.name, || {
            if let Some(live) = cloud.things.borrow_mut().get_mut(self.name) {
                live.size = self.size;
            }
        })
    }

    async fn delete(&self, cloud: &Rc<Cloud>, _live: &Live) -> Result<()> {
        if self.under.iter().any(|other| cloud.has(other)) {
            cloud.calls.borrow_mut().push(format!("in-use {}", self.name));
            return Err(Error::new(Kind::InUse, "in use"));
        }
        cloud.call("delete", self.name, || {
            cloud.things.borrow_mut().remove(self.name);
        })
    }

    fn health(&self, live: &Live) -> Health {
        if live.gone_at.is_some() {
            return Health::Leaving("draining".to_owned());
        }
        match (live.failed, Instant::now() >= live.ready_at) {
            (_, false) => Health::Pending("pending".to_owned()),
            (true, true) => Health::Failed("it broke".to_owned()),
            (false, true) => Health::Ready,
        }
    }

    fn owner(&self, live: &Live) -> Owner {
        live.owner.clone()
    }

    async fn adopt(&self, cloud: &Rc<Cloud>, _live: &Live) -> Result<()> {
        cloud.call("adopt", self.name, || {
            if let Some(live) = cloud.things.borrow_mut().get_mut(self.name) {
                live.owner = Owner::Ours;
            }
        })
    }
}

/// Everything that a run borrows.
struct Fixture {
    cloud: Rc<Cloud>,
    console: Console,
    inputs: Inputs,
    output: Output,
    stop: Stop,
}

impl Fixture {
    fn new() -> Self {
        let inputs = Inputs::default();
        inputs.end(End::Nothing);
        Self {
            cloud: Rc::default(),
            console: Console::new("test", Verbosity::Quiet, LogFormat::Text),
            inputs,
            output: Output::open(std::io::sink()).expect("a thread"),
            stop: Stop::default(),
        }
    }

    fn run(&self, mode: Mode) -> Run<'_> {
        self.run_with(mode, Wishes::default(), gate(async { Ok("123456789012".to_owned()) }))
    }

    fn run_with(&self, mode: Mode, wishes: Wishes, gate: Gate) -> Run<'_> {
        Run::new(mode, wishes, &self.console, (&self.inputs, &self.output), &self.stop, gate)
    }

    async fn apply(&self, thing: Thing) -> Result<Live> {
        self.run(Mode::Apply).ensure(&self.cloud, thing).await.map(Held::into_live)
    }
}

const DESTROY: Mode = Mode::Destroy { plan: false };

#[tokio::test(start_paused = true)]
async fn a_plan_writes_nothing_and_counts_what_it_would_do() {
    let fixture = Fixture::new();
    fixture.apply(Thing { size: 2, ..Thing::new("old") }).await.expect("made");
    fixture.cloud.calls.borrow_mut().clear();
    let run = fixture.run(Mode::Plan);
    run.ensure(&fixture.cloud, Thing::new("old")).await.expect("compared");
    run.ensure(&fixture.cloud, Thing::new("new")).await.expect("planned");
    assert!(fixture.cloud.writes().is_empty());
    assert_eq!(run.counts(), Counts { create: 1, change: 1, ..Counts::default() });
}

#[tokio::test(start_paused = true)]
async fn a_second_apply_changes_nothing() {
    let fixture = Fixture::new();
    fixture.apply(Thing::new("a")).await.expect("made");
    assert_eq!(fixture.cloud.writes(), ["create a"]);
    fixture.apply(Thing::new("a")).await.expect("kept");
    assert_eq!(fixture.cloud.writes(), ["create a"]);
    fixture.apply(Thing { size: 3, ..Thing::new("a") }).await.expect("changed");
    assert_eq!(fixture.cloud.writes(), ["create a", "update a"]);
}

#[tokio::test(start_paused = true)]
async fn only_what_is_needed_ready_is_waited_for() {
    let fixture = Fixture::new();
    let run = fixture.run(Mode::Apply);
    let begin = Instant::now();
    let (first, second) = join!(
        run.ensure(&fixture.cloud, Thing::new("first").taking(90)),
        run.ensure(&fixture.cloud, Thing::new("second").taking(120)),
    );
    let (first, second) = (first, second).all().expect("both made");
    run.ready(&fixture.cloud, &first).await.expect("ready");
    let waited = begin.elapsed();
    // Polls are a twentieth of the time waited apart.
    assert!((90..=95).contains(&waited.as_secs()), "{waited:?}");
    run.ready(&fixture.cloud, &second).await.expect("ready");
    assert!((120..=126).contains(&begin.elapsed().as_secs()));
}

#[tokio::test(start_paused = true)]
async fn a_create_whose_answer_was_lost_is_not_sent_again() {
    let fixture = Fixture::new();
    fixture.cloud.faults.borrow_mut().push(("create", Kind::Transient, Effect::After));
    fixture.apply(Thing::new("a")).await.expect("found after all");
    assert_eq!(fixture.cloud.writes(), ["create a"]);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_create_is_sent_again() {
    let fixture = Fixture::new();
    for _ in 0..3 {
        fixture.cloud.faults.borrow_mut().push(("create", Kind::Throttled, Effect::Before));
    }
    fixture.apply(Thing::new("a")).await.expect("made at last");
    assert_eq!(fixture.cloud.writes().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn not_found_is_only_tried_again_for_what_may_be_new() {
    let fixture = Fixture::new();
    fixture.cloud.faults.borrow_mut().push(("create", Kind::NotFound, Effect::Before));
    assert_eq!(fixture.apply(Thing::new("a")).await.expect_err("nothing is new").kind(), Kind::NotFound);
    fixture.cloud.faults.borrow_mut().push(("create", Kind::NotFound, Effect::Before));
    let run = fixture.run(Mode::Apply);
    run.expect_lag(true);
    run.ensure(&fixture.cloud, Thing::new("a")).await.expect("made the second time");
}

#[tokio::test(start_paused = true)]
async fn a_failed_resource_is_reported_within_one_poll() {
    let fixture = Fixture::new();
    let run = fixture.run(Mode::Apply);
    let begin = Instant::now();
    let held = run.ensure(&fixture.cloud, Thing { fails: true, ..Thing::new("a").taking(60) }).await.expect("made");
    let error = run.ready(&fixture.cloud, &held).await.expect_err("it fails");
    assert_eq!(error.render(), "waiting for thing a: it broke");
    assert!(begin.elapsed().as_secs() <= 64, "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn patience_ends_with_exit_code_5() {
    let fixture = Fixture::new();
    let run = fixture.run(Mode::Apply);
    let held = run.ensure(&fixture.cloud, Thing::new("a").taking(100_000)).await.expect("made");
    let error = run.ready(&fixture.cloud, &held).await.expect_err("too long");
    assert_eq!(error.exit_code(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_ours_is_not_touched_unless_adopted() {
    let fixture = Fixture::new();
    let foreign = Live { owner: Owner::Nobody, ..Thing::new("a").planned() };
    fixture.cloud.things.borrow_mut().insert("a".to_owned(), foreign);
    let error = fixture.apply(Thing { size: 2, ..Thing::new("a") }).await.expect_err("not ours");
    assert!(error.render().contains("--adopt"), "{error}");
    assert!(fixture.cloud.writes().is_empty());
    let run = fixture.run_with(Mode::Apply, Wishes { adopt: true, prune: false }, gate(async { Ok(String::new()) }));
    run.ensure(&fixture.cloud, Thing { size: 2, ..Thing::new("a") }).await.expect("adopted");
    assert_eq!(fixture.cloud.writes(), ["adopt a", "update a"]);
}

#[tokio::test(start_paused = true)]
async fn another_stacks_resource_is_never_adopted() {
    let fixture = Fixture::new();
    let foreign = Live { owner: Owner::Stack("other".to_owned()), ..Thing::new("a").planned() };
    fixture.cloud.things.borrow_mut().insert("a".to_owned(), foreign);
    let run = fixture.run_with(Mode::Apply, Wishes { adopt: true, prune: false }, gate(async { Ok(String::new()) }));
    run.ensure(&fixture.cloud, Thing::new("a")).await.expect_err("another stack's");
    assert!(fixture.cloud.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_changed_for_the_wrong_account() {
    let fixture = Fixture::new();
    let wrong = gate(async { Err(Error::new(Kind::Credentials, "another account")) });
    let run = fixture.run_with(Mode::Apply, Wishes::default(), wrong);
    let error = run.ensure(&fixture.cloud, Thing::new("a")).await.expect_err("refused");
    assert_eq!(error.exit_code(), 8);
    assert!(fixture.cloud.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn after_the_order_to_stop_nothing_new_is_started() {
    let fixture = Fixture::new();
    let run = fixture.run(Mode::Apply);
    let held = run.ensure(&fixture.cloud, Thing::new("a").taking(600)).await.expect("made");
    let interrupt = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        fixture.stop.order(Error::new(Kind::Interrupted, "interrupted"));
    };
    let begin = Instant::now();
    let (ready, ()) = join!(run.ready(&fixture.cloud, &held), interrupt);
    assert_eq!(ready.expect_err("stopped").exit_code(), 130);
    assert_eq!(begin.elapsed().as_secs(), 30);
    assert_eq!(run.ensure(&fixture.cloud, Thing::new("b")).await.expect_err("stopped").exit_code(), 130);
    assert!(!fixture.cloud.has("b"));
}

async fn network(run: &Run<'_>, cloud: &Rc<Cloud>) -> Result<()> {
    let vpc = run.ensure(cloud, Thing::new("vpc").under(&["gateway", "subnet-a", "subnet-b"])).await?;
    let (gateway, a, b) = join!(
        run.ensure(cloud, Thing::new("gateway")),
        run.ensure(cloud, Thing::new("subnet-a")),
        run.ensure(cloud, Thing::new("subnet-b")),
    );
    (gateway, a, b).all()?;
    drop(vpc);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_destroy_deletes_what_came_later_first() {
    let fixture = Fixture::new();
    let run = fixture.run(Mode::Apply);
    network(&run, &fixture.cloud).await.expect("made");
    let run = fixture.run(DESTROY);
    network(&run, &fixture.cloud).await.expect("found");
    run.delete_found().await.expect("deleted");
    assert!(fixture.cloud.things.borrow().is_empty());
    let writes = fixture.cloud.writes();
    assert_eq!(writes.last().map(String::as_str), Some("delete vpc"));
    assert!(!writes.iter().any(|call| call.starts_with("in-use")), "{writes:?}");
    assert_eq!(run.counts().delete, 4);
}

#[tokio::test(start_paused = true)]
async fn a_destroy_takes_in_use_as_not_yet() {
    let fixture = Fixture::new();
    fixture.apply(Thing::new("vpc")).await.expect("made");
    fixture.apply(Thing::new("interface")).await.expect("made");
    let run = fixture.run(DESTROY);
    run.ensure(&fixture.cloud, Thing::new("vpc").under(&["interface"])).await.expect("found");
    let later = async {
        tokio::time::sleep(Duration::from_secs(180)).await;
        fixture.cloud.things.borrow_mut().remove("interface");
    };
    let begin = Instant::now();
    let (deleted, ()) = join!(run.delete_found(), later);
    deleted.expect("deleted at last");
    assert!(begin.elapsed().as_secs() <= 190, "{:?}", begin.elapsed());
    assert!(fixture.cloud.things.borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_failed_deletion_stands_on_is_left_and_named() {
    let fixture = Fixture::new();
    let run = fixture.run(Mode::Apply);
    network(&run, &fixture.cloud).await.expect("made");
    fixture.cloud.faults.borrow_mut().push(("delete", Kind::Other, Effect::Before));
    let run = fixture.run(DESTROY);
    network(&run, &fixture.cloud).await.expect("found");
    let error = run.delete_found().await.expect_err("one is refused");
    assert!(error.render().contains("left behind: thing gateway (id-gateway), thing vpc (id-vpc)"), "{error}");
    assert!(fixture.cloud.has("vpc") && !fixture.cloud.has("subnet-a"));
}

#[tokio::test(start_paused = true)]
async fn a_destroy_leaves_what_is_not_ours() {
    let fixture = Fixture::new();
    let foreign = Live { owner: Owner::Nobody, ..Thing::new("a").planned() };
    fixture.cloud.things.borrow_mut().insert("a".to_owned(), foreign);
    let run = fixture.run(DESTROY);
    run.ensure(&fixture.cloud, Thing::new("a")).await.expect("found");
    run.delete_found().await.expect("nothing to do");
    assert!(fixture.cloud.has("a"));
}

#[tokio::test(start_paused = true)]
async fn one_failure_does_not_abandon_its_siblings() {
    let fixture = Fixture::new();
    fixture.cloud.faults.borrow_mut().push(("create", Kind::Other, Effect::Before));
    let run = fixture.run(Mode::Apply);
    let done = Cell::new(false);
    let sibling = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let held = run.ensure(&fixture.cloud, Thing::new("b")).await;
        done.set(true);
        held
    };
    let both = join!(run.ensure(&fixture.cloud, Thing::new("a")), sibling).all();
    assert!(both.is_err() && done.get() && fixture.cloud.has("b"));
}

#[tokio::test(start_paused = true)]
async fn an_apply_refuses_planned_ids_and_a_plan_takes_them() {
    let fixture = Fixture::new();
    let raw = r#"{"vpc_id":"planned:Vpc/x","private_subnet_ids":[]}"#;
    fixture.inputs.arrive("net", serde_json::value::RawValue::from_string(raw.to_owned()).expect("JSON"));
    let error = fixture.run(Mode::Apply).input::<crate::member::Net>().await.expect_err("planned");
    assert_eq!(error.exit_code(), 2);
    fixture.run(Mode::Plan).input::<crate::member::Net>().await.expect("a plan takes it");
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_out_is_waited_for_and_made_again() {
    let fixture = Fixture::new();
    let start = Instant::now();
    let leaving = Live { gone_at: Some(start + Duration::from_secs(300)), ..Thing::new("a").planned() };
    fixture.cloud.things.borrow_mut().insert("a".to_owned(), leaving);
    fixture.apply(Thing::new("a")).await.expect("made again");
    assert_eq!(fixture.cloud.writes(), ["create a"]);
    let waited = start.elapsed().as_secs();
    assert!((300..=315).contains(&waited), "{waited} s");
}

#[tokio::test(start_paused = true)]
async fn a_busy_thing_is_waited_for_as_long_as_its_patience() {
    let fixture = Fixture::new();
    let start = Instant::now();
    fixture.cloud.faults.borrow_mut().extend((0..1000).map(|_| ("create", Kind::Busy, Effect::Before)));
    let error = fixture.apply(Thing::new("a")).await.expect_err("never ends");
    assert_eq!((error.kind(), start.elapsed().as_secs() / 60), (Kind::TimedOut, 10));
    assert!(error.render().contains("creating thing a: still fault after 10 min"), "{}", error.render());
}

#[tokio::test(start_paused = true)]
async fn a_throttled_read_is_tried_again_in_a_plan_as_well() {
    let fixture = Fixture::new();
    fixture.cloud.faults.borrow_mut().extend((0..3).map(|_| ("find", Kind::Throttled, Effect::Before)));
    let run = fixture.run(Mode::Plan);
    run.ensure(&fixture.cloud, Thing::new("a")).await.expect("a plan");
    assert_eq!((run.counts().create, fixture.cloud.writes().len()), (1, 0));
}
