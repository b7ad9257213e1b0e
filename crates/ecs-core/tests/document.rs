//! The streamed document: whatever way its bytes come, the same members go through.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};

use ecs_core::Kind;
use ecs_core::document::{End, Event, Output, read};
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Hands out its bytes in pieces of given sizes.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    sizes: Vec<usize>,
    turn: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes.get(self.turn % self.sizes.len().max(1)).copied().unwrap_or(1);
        self.turn += 1;
        let count = size.min(buffer.len()).min(self.bytes.len() - self.at);
        buffer[..count].copy_from_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Keeps what is written.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer has panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn collect(input: impl Read + Send + 'static) -> (Vec<(String, Box<RawValue>)>, End) {
    let mut events = read(input).expect("a thread");
    let mut members = Vec::new();
    loop {
        match events.recv().await {
            Some(Event::Member(name, value)) => members.push((name, value)),
            Some(Event::End(end)) => return (members, end),
            None => panic!("the reader ended without saying how"),
        }
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn documents() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::hash_map("[a-z]{1,8}|.{1,4}", json(), 0..7).prop_map(|map| map.into_iter().collect())
}

fn text(document: &Map<String, Value>, pretty: bool) -> String {
    let value = Value::Object(document.clone());
    if pretty { format!("\n {value:#}\n\n") } else { value.to_string() }
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_gives_the_same_members(
        document in documents(), pretty: bool, sizes in prop::collection::vec(1usize..40, 1..6),
    ) {
        let input = Pieces { bytes: text(&document, pretty).into_bytes(), at: 0, sizes, turn: 0 };
        let (members, end) = block_on(collect(input));
        prop_assert!(matches!(end, End::Closed), "{end:?}");
        let read: Map<String, Value> = members
            .iter()
            .map(|(name, value)| (name.clone(), serde_json::from_str(value.get()).expect("JSON")))
            .collect();
        prop_assert_eq!(read, document);
    }

    #[test]
    fn what_is_forwarded_is_the_same_document(document in documents(), pretty: bool) {
        let sink = Sink::default();
        let target = sink.clone();
        block_on(async {
            let (members, _) = collect(io::Cursor::new(text(&document, pretty))).await;
            let output = Output::open(target).expect("a thread");
            for (name, value) in &members {
                output.forward(name, value);
            }
            output.close().await.expect("written");
        });
        let bytes = sink.0.lock().expect("written").clone();
        let written: Map<String, Value> = serde_json::from_slice(&bytes).expect("one JSON object");
        prop_assert_eq!(written, document);
    }

    #[test]
    fn a_document_that_is_cut_short_is_never_complete(document in documents(), pretty: bool, cut in 0.0..1.0f64) {
        let whole = text(&document, pretty);
        let whole = whole.trim();
        let mut length = 1 + ((whole.len() - 1) as f64 * cut) as usize;
        while !whole.is_char_boundary(length) {
            length -= 1;
        }
        prop_assume!(length < whole.len() && length > 0);
        let (_, end) = block_on(collect(io::Cursor::new(whole[..length].to_owned())));
        let End::Failed(error) = end else { return Err(TestCaseError::fail(format!("{end:?}"))) };
        prop_assert_eq!(error.kind(), Kind::Truncated, "{}", error);
    }

    #[test]
    fn no_bytes_make_the_reader_panic_or_hang(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        block_on(collect(io::Cursor::new(bytes)));
    }
}

#[test]
fn a_member_is_there_before_the_next_one_has_begun() {
    // A pipe, so that the reader has seen just these bytes when the member must be there.
    let (reader, mut writer) = io::pipe().expect("a pipe");
    block_on(async {
        let mut events = read(reader).expect("a thread");
        writer.write_all(br#"{"net": {"vpc_id": "vpc-1"}"#).expect("written");
        let Some(Event::Member(name, value)) = events.recv().await else { panic!("no member") };
        assert_eq!((name.as_str(), value.get()), ("net", r#"{"vpc_id": "vpc-1"}"#));
        writer.write_all(b"}").expect("written");
        drop(writer);
        assert!(matches!(events.recv().await, Some(Event::End(End::Closed))));
    });
}

#[test]
fn bad_documents_are_refused_with_the_right_kind() {
    let cases = [
        ("[1]", Kind::Usage),
        ("nonsense", Kind::Usage),
        (r#"{"a":1}{"b":2}"#, Kind::Usage),
        (r#"{"a":1,"a":2}"#, Kind::Usage),
        (r#"{"a":1,}"#, Kind::Usage),
        (r#"{"a":1"#, Kind::Truncated),
        ("{", Kind::Truncated),
    ];
    for (input, kind) in cases {
        let (_, end) = block_on(collect(io::Cursor::new(input)));
        let End::Failed(error) = end else { panic!("{input} was taken") };
        assert_eq!(error.kind(), kind, "{input}: {error}");
    }
}

#[test]
fn no_input_at_all_is_nothing_upstream() {
    for input in ["", " \n\t "] {
        let (members, end) = block_on(collect(io::Cursor::new(input)));
        assert!(members.is_empty() && matches!(end, End::Nothing));
    }
}

#[test]
fn ten_megabytes_go_through_untouched() {
    let big = "x".repeat(10 << 20);
    let document = format!(r#"{{"big": "{big}", "small": 1.50}}"#);
    let (members, end) = block_on(collect(io::Cursor::new(document)));
    assert!(matches!(end, End::Closed));
    assert_eq!(members[0].1.get().len(), big.len() + 2);
    // Numbers keep their digits.
    assert_eq!(members[1].1.get(), "1.50");
}

#[test]
fn a_reader_that_goes_away_is_noticed() {
    let (reader, writer) = io::pipe().expect("a pipe");
    block_on(async {
        let output = Output::open(writer).expect("opened");
        drop(reader);
        output.member("late", &()).expect("queued");
        assert_eq!(output.broken().await.kind(), Kind::BrokenPipe);
        assert_eq!(output.close().await.expect_err("nobody reads").kind(), Kind::BrokenPipe);
    });
}
