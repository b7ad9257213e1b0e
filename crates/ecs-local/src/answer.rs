//! Answers in the wire format that the caller's service speaks.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use crate::call::{Protocol, Request};

/// An answer to a call.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A JSON answer.
    pub(crate) fn json(status: StatusCode, body: &Value) -> Answer {
        Answer::new(status, "application/x-amz-json-1.1", body.to_string().into())
    }

    /// An answer of Smithy RPC v2 CBOR, whose body is written already.
    pub(crate) fn cbor(status: StatusCode, body: Vec<u8>) -> Answer {
        let mut answer = Answer::new(status, "application/cbor", body.into());
        answer.headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
        answer
    }

    /// An XML answer of the query protocol: `inner` inside `<OperationResponse><OperationResult>`.
    pub(crate) fn query(operation: &str, namespace: &str, inner: &str) -> Answer {
        let body = format!(
            "<{operation}Response xmlns=\"{namespace}\"><{operation}Result>{inner}</{operation}Result>\
             <ResponseMetadata><RequestId>{REQUEST_ID}</RequestId></ResponseMetadata></{operation}Response>"
        );
        Answer::new(StatusCode::OK, "text/xml", body.into())
    }

    /// An XML answer of EC2: `inner` inside `<OperationResponse>`.
    pub(crate) fn ec2(operation: &str, inner: &str) -> Answer {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><{operation}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
             <requestId>{REQUEST_ID}</requestId>{inner}</{operation}Response>"
        );
        Answer::new(StatusCode::OK, "text/xml", body.into())
    }

    /// Plain text.
    pub(crate) fn text(status: StatusCode, body: String) -> Answer {
        Answer::new(status, "text/plain; charset=utf-8", body.into())
    }

    /// A refusal, as the caller's service would put it.
    pub(crate) fn refuse(request: &Request, status: StatusCode, code: &str, message: &str) -> Answer {
        match request.protocol {
            Protocol::Ec2Query => {
                let (code, message) = (escape(code), escape(message));
                let body = format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Errors><Error><Code>{code}</Code>\
                     <Message>{message}</Message></Error></Errors><RequestID>{REQUEST_ID}</RequestID></Response>"
                );
                Answer::new(status, "text/xml", body.into())
            }
            Protocol::Query | Protocol::RestXml => {
                let (code, message) = (escape(code), escape(message));
                let body = format!(
                    "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
                     <RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
                );
                Answer::new(status, "text/xml", body.into())
            }
            Protocol::Json | Protocol::Rest => {
                let mut answer = Answer::json(status, &json!({"__type": code, "message": message}));
                if let Ok(code) = HeaderValue::from_str(code) {
                    answer.headers.insert("x-amzn-errortype", code);
                }
                answer
            }
            Protocol::Cbor => {
                let mut body = vec![0xa2];
                for text in ["__type", code, "message", message] {
                    cbor_text(&mut body, text);
                }
                Answer::cbor(status, body)
            }
        }
    }

    /// The answer as hyper sends it, with a request id: SDKs show it, and so do the tools.
    pub(crate) fn into_response(mut self, id: u64) -> Response<Full<Bytes>> {
        if !self.headers.contains_key("x-amzn-requestid")
            && let Ok(id) = HeaderValue::from_str(&format!("ec510ca1-0000-4000-8000-{id:012x}"))
        {
            self.headers.insert("x-amzn-requestid", id);
        }
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }

    /// An answer of any content type.
    pub(crate) fn new(status: StatusCode, kind: &'static str, body: Bytes) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Answer { status, headers, body }
    }
}

/// Request id inside XML bodies; the one in the header counts.
const REQUEST_ID: &str = "ec510ca1-0000-4000-8000-000000000000";

/// Escapes text for XML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Appends a CBOR text string (RFC 8949, major type 3).
fn cbor_text(body: &mut Vec<u8>, text: &str) {
    let length = text.len().min(0xffff);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 24 => body.push(0x60 | short),
        (Ok(short), _) => body.extend([0x78, short]),
        (Err(_), Ok(long)) => {
            body.push(0x79);
            body.extend(long.to_be_bytes());
        }
        (Err(_), Err(_)) => {}
    }
    body.extend(&text.as_bytes()[..length]);
}

/// The texts of every `<tag>…</tag>` in `xml`, in order, as they stand. moto writes tags without attributes inside lists.
pub(crate) fn texts<'a>(xml: &'a str, tag: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let mut found = Vec::new();
    let mut rest = xml;
    while let Some(start) = rest.find(&open) {
        let inner = &rest[start + open.len()..];
        let Some(end) = inner.find(&close) else { break };
        found.push(&inner[..end]);
        rest = &inner[end + close.len()..];
    }
    found
}

/// The text of the first `<tag>…</tag>` in `xml`.
pub(crate) fn text<'a>(xml: &'a str, tag: &str) -> Option<&'a str> {
    texts(xml, tag).into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_finds_each_in_order() {
        assert_eq!(texts("<a><b>1</b><c/><b>2</b></a>", "b"), ["1", "2"]);
        assert_eq!(text("<a/>", "b"), None);
    }

    #[test]
    fn cbor_text_has_its_length_in_front() {
        let mut body = Vec::new();
        cbor_text(&mut body, "abc");
        cbor_text(&mut body, &"x".repeat(30));
        cbor_text(&mut body, &"y".repeat(300));
        assert_eq!(&body[..6], [0x63, b'a', b'b', b'c', 0x78, 30]);
        assert_eq!(&body[36..39], [0x79, 1, 44]);
    }
}
