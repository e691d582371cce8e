//! What providers say when they fail, in all the forms they say it.
//!
//! OpenAI's object, Gemini's list of one, vLLM's object without an envelope, integer codes, a bare
//! text, FastAPI's `detail`, or a page of HTML: all become one [`Fault`], bounded, from which the right [`UpstreamError`] follows.

use crate::{
    conceal::conceal,
    json::{Append, Fields, Items, Object, skip},
    ports::UpstreamError,
};
use serde::de::{DeserializeSeed, MapAccess};
use serde_json::value::RawValue;

/// Characters of a provider's message that are kept.
const LONGEST_MESSAGE: usize = 2_000;
/// Characters of a provider's code, type or parameter that are kept.
const LONGEST_WORD: usize = 128;

/// A provider's error object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fault {
    /// For people; empty when there is none.
    pub message: String,
    /// `type`, or Gemini's `status`.
    pub kind: Option<String>,
    /// `code`, as text; a code that is a number is the status.
    pub code: Option<String>,
    /// The parameter it blames.
    pub param: Option<String>,
    /// A status within the object.
    pub status: Option<u16>,
    /// It is about our key at the provider, whatever its status (Google says 400).
    pub about_our_key: bool,
    /// Seconds that it asks to wait, within the object (Google's `RetryInfo`).
    pub retry_after: Option<u64>,
}

impl Fault {
    /// Reads a body or the data of an event; `None` when it holds no error.
    pub fn read(body: &[u8]) -> Option<Self> {
        let mut found = Outer::default();
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'[') => Items(&mut found).deserialize(&mut deserializer).ok()??,
            Some(b'{') => usize::from(Object(&mut found).deserialize(&mut deserializer).ok()?),
            _ => return None,
        };
        let mut fault = found.fault.or(found.bare.filter(|_| found.is_error))?;
        // Before it is cut: half a key would not look like one.
        conceal(&mut fault.message);
        cut(&mut fault.message, LONGEST_MESSAGE);
        let words = [&mut fault.kind, &mut fault.code, &mut fault.param];
        for word in words.into_iter().flatten() {
            conceal(word);
            cut(word, LONGEST_WORD);
        }
        Some(fault)
    }

    /// The error that an answer with this status means; `retry_after` is its header, in seconds.
    pub fn of_status(status: u16, body: &[u8], retry_after: Option<u64>) -> UpstreamError {
        let fault = Self::read(body).unwrap_or_default();
        fault.into_error(status, retry_after)
    }

    /// The error that this object means within an answer that began well.
    pub fn within_answer(self) -> UpstreamError {
        let named = match self.kind.as_deref().or(self.code.as_deref()) {
            Some("invalid_request_error" | "INVALID_ARGUMENT") => 400,
            Some("rate_limit_error" | "rate_limit_exceeded" | "RESOURCE_EXHAUSTED") => 429,
            _ => 502,
        };
        let status = self.status.unwrap_or(named);
        self.into_error(status, None)
    }

    fn into_error(self, status: u16, retry_after: Option<u64>) -> UpstreamError {
        let retry_after = retry_after.or(self.retry_after);
        // So is an account of ours that is empty: OpenAI says 429 then, DeepSeek 402.
        let ours = self.about_our_key || self.code.as_deref() == Some("insufficient_quota");
        match status {
            _ if ours => UpstreamError::Credentials,
            401..=403 => UpstreamError::Credentials,
            408 | 504 => UpstreamError::TimedOut,
            429 => UpstreamError::RateLimited { retry_after },
            400..=499 => UpstreamError::Refused {
                status,
                message: if self.message.is_empty() {
                    format!("the model's provider refused the request (status {status})")
                } else {
                    self.message
                },
                code: self.code,
                kind: self.kind,
                param: self.param,
            },
            503 if let Some(retry_after) = retry_after => UpstreamError::Busy { retry_after },
            // Not in its own words, which end in the log and may quote what it was asked.
            _ => UpstreamError::Failed(format!("status {status}").into()),
        }
    }
}

fn cut(text: &mut String, most: usize) {
    if let Some((at, _)) = text.char_indices().nth(most) {
        text.truncate(at);
    }
}

/// The object around an error.
#[derive(Default)]
struct Outer {
    fault: Option<Fault>,
    /// What stands outside of any `error`, where `"object":"error"` says that it is one (vLLM).
    bare: Option<Fault>,
    is_error: bool,
}

impl Outer {
    fn fault(&mut self) -> &mut Fault {
        self.fault.get_or_insert_default()
    }
}

impl Fields for Outer {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "error" => {
                let raw: &RawValue = map.next_value()?;
                let mut inner = serde_json::Deserializer::from_str(raw.get());
                match raw.get().as_bytes().first() {
                    Some(b'{') => drop(Object(self.fault()).deserialize(&mut inner)),
                    Some(b'"') => drop(Append(&mut self.fault().message).deserialize(&mut inner)),
                    _ => {}
                }
                Ok(())
            }
            // FastAPI and the servers built on it.
            "detail" => {
                let mut text = String::new();
                if map.next_value_seed(Append(&mut text))?.is_some() {
                    self.fault().message = text;
                }
                Ok(())
            }
            "object" => word(map).map(|kind| self.is_error = kind.as_deref() == Some("error")),
            "message" | "type" | "param" | "code" => self.bare.get_or_insert_default().field(name, map),
            _ => skip(map),
        }
    }
}

impl Fields for Fault {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "message" => {
                self.message.clear();
                map.next_value_seed(Append(&mut self.message)).map(drop)
            }
            "type" | "status" => word(map).map(|text| self.kind = text.or(self.kind.take())),
            "details" => map.next_value_seed(Items(&mut Details(self))).map(drop),
            "param" => word(map).map(|text| self.param = text),
            "code" => {
                let raw: &RawValue = map.next_value()?;
                match serde_json::from_str::<u16>(raw.get()) {
                    Ok(status) => self.status = (400..=599).contains(&status).then_some(status),
                    Err(_) => self.code = serde_json::from_str(raw.get()).ok(),
                }
                Ok(())
            }
            _ => skip(map),
        }
    }
}

/// Google's `details`, whose reasons tell a bad key from a bad request, and how long to wait.
struct Details<'a>(&'a mut Fault);

impl Fields for Details<'_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "reason" => {
                let reason = word(map)?;
                self.0.about_our_key |= reason.is_some_and(|reason| reason.starts_with("API_KEY_"));
            }
            "retryDelay" => self.0.retry_after = word(map)?.as_deref().and_then(whole_seconds),
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// `27.4s` as 28: protobuf's JSON form of a duration, rounded up.
fn whole_seconds(duration: &str) -> Option<u64> {
    let number = duration.strip_suffix('s')?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let more = u64::from(part.bytes().any(|digit| digit != b'0'));
    Some(whole.parse::<u64>().ok()?.saturating_add(more))
}

fn word<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<String>, A::Error> {
    let mut text = String::new();
    let length = map.next_value_seed(Append(&mut text))?;
    Ok(length.filter(|length| *length > 0).map(|_| text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_providers_form_of_an_error_is_understood() {
        for (body, message, code) in [
            (
                r#"{"error":{"message":"bad","type":"invalid_request_error","param":"n","code":"x"}}"#,
                "bad",
                Some("x"),
            ),
            (
                r#"[{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT"}}]"#,
                "bad",
                None,
            ),
            (r#"{"error":"bad"}"#, "bad", None),
            (r#"{"detail":"bad"}"#, "bad", None),
            (
                r#"{"object":"error","message":"bad","type":"BadRequestError","param":null,"code":400}"#,
                "bad",
                None,
            ),
            (
                r#"{"error":{"message":"bad","code":null,"param":null}}"#,
                "bad",
                None,
            ),
        ] {
            let fault = Fault::read(body.as_bytes()).unwrap();
            assert_eq!(
                (fault.message.as_str(), fault.code.as_deref()),
                (message, code),
                "{body}"
            );
        }
    }

    #[test]
    fn what_holds_no_error_is_no_fault() {
        for body in [
            "",
            "<html>busy</html>",
            "[]",
            "{}",
            "{\"error\":",
            "7",
            r#"{"choices":[]}"#,
            r#"{"object":"chat.completion","message":"hi","code":1}"#,
        ] {
            assert_eq!(Fault::read(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn a_status_decides_whose_fault_it_is() {
        let of = |status| Fault::of_status(status, b"<html>", Some(7));
        assert!(matches!(of(400), UpstreamError::Refused { status: 400, .. }));
        assert!(matches!(of(401), UpstreamError::Credentials));
        assert!(matches!(of(402), UpstreamError::Credentials));
        assert!(matches!(
            of(429),
            UpstreamError::RateLimited { retry_after: Some(7) }
        ));
        assert!(matches!(of(500), UpstreamError::Failed(_)));
        assert!(matches!(of(503), UpstreamError::Busy { retry_after: 7 }));
        assert!(matches!(of(504), UpstreamError::TimedOut));
        assert!(matches!(of(302), UpstreamError::Failed(_)));
    }

    #[test]
    fn what_is_wrong_with_our_account_is_never_the_callers_business() {
        for (status, body) in [
            (
                400,
                r#"[{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"@type":"t","reason":"API_KEY_INVALID"}]}}]"#,
            ),
            (
                429,
                r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            ),
        ] {
            let error = Fault::of_status(status, body.as_bytes(), None);
            assert!(matches!(error, UpstreamError::Credentials), "{error:?}");
        }
    }

    #[test]
    fn googles_pause_is_read_and_rounded_up() {
        for (text, seconds) in [
            ("27s", Some(27)),
            ("27.4s", Some(28)),
            ("3.000s", Some(3)),
            ("soon", None),
        ] {
            let body = format!(r#"[{{"error":{{"code":429,"details":[{{"retryDelay":"{text}"}}]}}}}]"#);
            let error = Fault::of_status(429, body.as_bytes(), None);
            let read = matches!(error, UpstreamError::RateLimited { retry_after } if retry_after == seconds);
            assert!(read, "{text}: {error:?}");
        }
    }

    #[test]
    fn a_long_message_is_cut() {
        let body = format!(r#"{{"error":{{"message":"{}"}}}}"#, "ä".repeat(5_000));
        assert_eq!(
            Fault::read(body.as_bytes()).unwrap().message.chars().count(),
            LONGEST_MESSAGE
        );
    }
}
