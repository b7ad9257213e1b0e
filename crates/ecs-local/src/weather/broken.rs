//! Answers that do not arrive as they should: connections that break, bodies that come in drops.

use std::fmt;
use std::time::Duration;

use http_body_util::channel::Channel;
use http_body_util::{Either, Full};
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, HeaderValue};

/// How a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// It is reset: a TCP RST.
    Reset,
    /// It is closed: a TCP FIN.
    Closed,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Broken::Reset => "connection reset by the weather",
            Broken::Closed => "connection closed by the weather",
        })
    }
}

impl std::error::Error for Broken {}

/// A body: all at once, or in pieces.
pub(crate) type Body = Either<Full<Bytes>, Channel<Bytes, Broken>>;

/// Into how many pieces a slow body is cut.
const PIECES: usize = 10;

/// The answer with its whole body.
pub(crate) fn whole(response: Response<Full<Bytes>>) -> Response<Body> {
    response.map(Either::Left)
}

/// The answer, with a body that breaks off in the middle.
pub(crate) fn cut(response: Response<Full<Bytes>>, body: &Bytes) -> Response<Body> {
    in_pieces(response, body, vec![body.slice(..body.len() / 2)], Duration::ZERO)
}

/// The answer, with a body that arrives over `time`.
pub(crate) fn slow(response: Response<Full<Bytes>>, body: &Bytes, time: Duration) -> Response<Body> {
    let size = body.len().div_ceil(PIECES).max(1);
    let pieces: Vec<Bytes> =
        (0..body.len()).step_by(size).map(|at| body.slice(at..body.len().min(at + size))).collect();
    let pause = time.checked_div(u32::try_from(pieces.len()).unwrap_or(1)).unwrap_or_default();
    in_pieces(response, body, pieces, pause)
}

fn in_pieces(response: Response<Full<Bytes>>, body: &Bytes, pieces: Vec<Bytes>, pause: Duration) -> Response<Body> {
    let (mut sender, channel) = Channel::new(1);
    let whole = pieces.iter().map(Bytes::len).sum::<usize>() == body.len();
    tokio::spawn(async move {
        for piece in pieces {
            tokio::time::sleep(pause).await;
            // A client that went away wants no more of it.
            if sender.send_data(piece).await.is_err() {
                return;
            }
        }
        if !whole {
            sender.abort(Broken::Closed);
        }
    });
    let mut response = response.map(|_| Either::Right(channel));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    response
}
