//! The stack document as a stream: members in as they arrive, members out as they are known, the closing brace last.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::rc::Rc;
use std::sync::mpsc as blocking;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde::{Serialize, de};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::{Error, Kind, Result};

/// What the reader of a document reports, in the order of the bytes.
#[derive(Debug)]
pub enum Event {
    /// A member, complete.
    Member(String, Box<RawValue>),
    /// The input ended; nothing comes after this.
    End(End),
}

/// How the input ended.
#[derive(Debug, Clone)]
pub enum End {
    /// With the closing brace.
    Closed,
    /// There was no input at all.
    Nothing,
    /// Too early, or it was not a document.
    Failed(Error),
}

/// Reads a document in a thread of its own, and sends each member the moment it is complete.
///
/// The thread ends with the input, or at the next member when the receiver is gone.
///
/// # Errors
/// When the system gives no thread.
pub fn read(input: impl Read + Send + 'static) -> Result<mpsc::UnboundedReceiver<Event>> {
    let (events, receiver) = mpsc::unbounded_channel();
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            let end = read_document(input, &events);
            // A receiver that is gone no longer wants to know.
            let _ = events.send(Event::End(end));
        })
        .map_err(|error| Error::other(format!("no thread to read stdin: {error}")))?;
    Ok(receiver)
}

fn read_document(input: impl Read, events: &mpsc::UnboundedSender<Event>) -> End {
    let mut input = BufReader::new(input);
    match skip_whitespace(&mut input) {
        Ok(true) => {}
        Ok(false) => return End::Nothing,
        Err(error) => return End::Failed(Error::other(format!("stdin cannot be read: {error}"))),
    }
    let at_end = Cell::new(false);
    let mut json = serde_json::Deserializer::from_reader(Watched { input, at_end: &at_end });
    let result = json.deserialize_map(Members { events }).and_then(|()| json.end());
    match result {
        Ok(()) => End::Closed,
        // Not every cut is an end of file to the parser: "-" is a bad number first.
        Err(error) if error.is_eof() || at_end.get() => End::Failed(Error::new(
            Kind::Truncated,
            "the input ended before its closing brace: a tool before this one failed, and says why",
        )),
        Err(error) if error.is_io() => End::Failed(Error::other(format!("stdin cannot be read: {error}"))),
        Err(error) => End::Failed(Error::usage(format!("stdin is not a stack document: {error}")).hint(
            "a stack document is one JSON object, as the ecs-pipe tools write it; use --no-input to ignore stdin",
        )),
    }
}

/// Notes when its reader has asked for more than there is.
struct Watched<'a, R> {
    input: R,
    at_end: &'a Cell<bool>,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.at_end.set(count == 0 && !buffer.is_empty());
        Ok(count)
    }
}

/// Skips white space; says whether anything else follows.
fn skip_whitespace(input: &mut impl BufRead) -> std::io::Result<bool> {
    loop {
        let buffer = match input.fill_buf() {
            Ok(buffer) => buffer,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if buffer.is_empty() {
            return Ok(false);
        }
        let blank = buffer.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
        let found = blank < buffer.len();
        input.consume(blank);
        if found {
            return Ok(true);
        }
    }
}

struct Members<'a> {
    events: &'a mpsc::UnboundedSender<Event>,
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object with one member per layer")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value::<Box<RawValue>>()?;
            // The first one may have been acted upon already, so the last cannot win.
            if !seen.insert(name.clone()) {
                return Err(de::Error::custom(format_args!("the member `{name}` stands in it twice")));
            }
            if self.events.send(Event::Member(name, value)).is_err() {
                return Err(de::Error::custom("nobody reads it"));
            }
        }
        Ok(())
    }
}

/// The members that have arrived, for whoever waits for one.
#[derive(Debug)]
pub struct Inputs {
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct State {
    members: HashMap<String, Rc<RawValue>>,
    end: Option<End>,
}

/// What became of a member that somebody waited for.
#[derive(Debug, Clone)]
pub enum Arrival {
    /// It is here.
    Here(Rc<RawValue>),
    /// The document is complete without it.
    Absent,
}

impl Default for Inputs {
    fn default() -> Self {
        Self { state: watch::Sender::new(State::default()) }
    }
}

impl Inputs {
    /// Takes in a member.
    pub fn arrive(&self, name: &str, value: Box<RawValue>) {
        self.state.send_modify(|state| {
            state.members.insert(name.to_owned(), Rc::from(value));
        });
    }

    /// Takes in the end of the input.
    pub fn end(&self, end: End) {
        self.state.send_modify(|state| state.end = Some(end));
    }

    /// Returns a member as soon as it has arrived or cannot arrive any more.
    ///
    /// # Errors
    /// When the input failed before the member came.
    pub async fn member(&self, name: &str) -> Result<Arrival> {
        let mut state = self.state.subscribe();
        let state = state.wait_for(|state| state.end.is_some() || state.members.contains_key(name)).await;
        let state = state.map_err(|_closed| Error::other("the reader of stdin is gone"))?;
        match (state.members.get(name), &state.end) {
            (Some(value), _) => Ok(Arrival::Here(Rc::clone(value))),
            (None, Some(End::Failed(error))) => Err(error.clone()),
            (None, _) => Ok(Arrival::Absent),
        }
    }

    /// Returns once anything has arrived, or nothing will.
    ///
    /// # Errors
    /// When the reader is gone.
    pub async fn anything(&self) -> Result<()> {
        let mut state = self.state.subscribe();
        let state = state.wait_for(|state| state.end.is_some() || !state.members.is_empty()).await;
        state.map(drop).map_err(|_closed| Error::other("the reader of stdin is gone"))
    }

    /// Returns a member if it has arrived.
    pub fn arrived(&self, name: &str) -> Option<Rc<RawValue>> {
        self.state.borrow().members.get(name).cloned()
    }

    /// Returns how the input ended, once it has.
    ///
    /// # Errors
    /// When the reader is gone.
    pub async fn ended(&self) -> Result<End> {
        let mut state = self.state.subscribe();
        let state = state.wait_for(|state| state.end.is_some()).await;
        let state = state.map_err(|_closed| Error::other("the reader of stdin is gone"))?;
        Ok(state.end.clone().unwrap_or(End::Nothing))
    }
}

/// Writes the document, in a thread of its own: a slow reader holds up nobody's work.
#[derive(Debug)]
pub struct Output {
    chunks: blocking::Sender<Chunk>,
    first: Cell<bool>,
    held: RefCell<Option<Held>>,
    broken: watch::Receiver<Option<Error>>,
}

/// Members that wait for the stack, in the order in which they were written.
type Held = Vec<(String, Box<RawValue>)>;

#[derive(Debug)]
enum Chunk {
    Bytes(Vec<u8>),
    Flushed(oneshot::Sender<bool>),
}

impl Output {
    /// Starts the document: its opening brace is written when this returns, so that whatever fails from here on leaves
    /// an object that is not closed.
    ///
    /// # Errors
    /// When it cannot be written, and when the system gives no thread.
    pub fn open(mut target: impl Write + Send + 'static) -> Result<Self> {
        target.write_all(b"{").and_then(|()| target.flush()).map_err(|error| unwritable(&error))?;
        let (chunks, queue) = blocking::channel();
        let (tell, broken) = watch::channel(None);
        std::thread::Builder::new()
            .name("stdout".to_owned())
            .spawn(move || write_chunks(target, &queue, &tell))
            .map_err(|error| Error::other(format!("no thread to write stdout: {error}")))?;
        Ok(Self { chunks, first: Cell::new(true), held: RefCell::new(None), broken })
    }

    /// Writes a member exactly as it came.
    pub fn forward(&self, name: &str, value: &RawValue) {
        let separator = if self.first.replace(false) { "\n" } else { ",\n" };
        // Writing a string as JSON cannot fail.
        let name = serde_json::Value::from(name).to_string();
        self.send(format!("{separator}{name}: {}", value.get()).into_bytes());
    }

    /// Writes a member of our own; `None` is `null`.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn member(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let value = serde_json::value::to_raw_value(value)
            .map_err(|error| Error::other(format!("member `{name}` cannot be written as JSON: {error}")))?;
        match &mut *self.held.borrow_mut() {
            Some(held) => held.push((name.to_owned(), value)),
            None => self.forward(name, &value),
        }
        Ok(())
    }

    /// Holds back members of our own until [`Output::release`]: the stack comes before what is made of it.
    pub fn hold(&self) {
        self.held.borrow_mut().get_or_insert_default();
    }

    /// Writes a member, and after it those that were held back.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn release(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let held = self.held.take();
        self.member(name, value)?;
        for (name, value) in held.into_iter().flatten() {
            self.forward(&name, &value);
        }
        Ok(())
    }

    /// Ends the document with its closing brace, and waits until everything has been written.
    ///
    /// # Errors
    /// [`Kind::BrokenPipe`] when nobody reads it any more.
    pub async fn close(&self) -> Result<()> {
        self.send(b"\n}\n".to_vec());
        self.flushed().await
    }

    /// Waits until everything so far has been written.
    ///
    /// # Errors
    /// [`Kind::BrokenPipe`] when nobody reads it any more.
    pub async fn flushed(&self) -> Result<()> {
        let (done, written) = oneshot::channel();
        let sent = self.chunks.send(Chunk::Flushed(done)).is_ok();
        if sent && written.await.unwrap_or(false) {
            return Ok(());
        }
        Err(self.broken.borrow().clone().unwrap_or_else(|| Error::other("the writer of stdout is gone")))
    }

    /// Returns why the document cannot be written any more; never, as long as it can.
    pub async fn broken(&self) -> Error {
        let mut broken = self.broken.clone();
        let error = broken.wait_for(Option::is_some).await.ok().and_then(|error| error.clone());
        match error {
            Some(error) => error,
            // The writer has ended in good order.
            None => std::future::pending().await,
        }
    }

    fn send(&self, bytes: Vec<u8>) {
        // A writer that is gone has set `broken`.
        let _ = self.chunks.send(Chunk::Bytes(bytes));
    }
}

/// Says why stdout cannot be written: only a reader that went away is a quiet end.
fn unwritable(error: &std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        return Error::new(Kind::BrokenPipe, "nobody reads stdout any more");
    }
    Error::other(format!("stdout cannot be written: {error}"))
}

fn write_chunks(mut target: impl Write, queue: &blocking::Receiver<Chunk>, broken: &watch::Sender<Option<Error>>) {
    let mut intact = true;
    while let Ok(chunk) = queue.recv() {
        match chunk {
            Chunk::Bytes(bytes) if intact => {
                if let Err(error) = target.write_all(&bytes).and_then(|()| target.flush()) {
                    intact = false;
                    broken.send_replace(Some(unwritable(&error)));
                }
            }
            Chunk::Bytes(_) => {}
            Chunk::Flushed(done) => {
                // Whoever asked may have stopped waiting.
                let _ = done.send(intact);
            }
        }
    }
}
