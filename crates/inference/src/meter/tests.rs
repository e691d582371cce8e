//! The meter against what real providers send.

use super::*;
use bytes::Bytes;
use haithe_kernel::{Decimals, Usdt};
use proptest::prelude::*;
use serde_json::{Value, json};

impl Meter {
    fn read_chunk(&mut self, data: &[u8]) -> Chunk {
        self.read(data).0
    }
}

fn usage(json: &str) -> Option<TokenUsage> {
    let mut fields = UsageFields::default();
    Object(&mut fields)
        .deserialize(&mut serde_json::Deserializer::from_str(json))
        .unwrap();
    fields.tokens()
}

#[test]
fn every_providers_usage_is_understood() {
    let tokens = |input, cached, output, reasoning| {
        Some(TokenUsage {
            input,
            cached,
            output,
            reasoning,
        })
    };
    for (provider, json, expected) in [
        (
            "openai",
            r#"{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":8,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":4,"accepted_prediction_tokens":0}}"#,
            tokens(19, 8, 10, 4),
        ),
        (
            "deepseek",
            r#"{"prompt_tokens":20,"completion_tokens":5,"total_tokens":25,"prompt_cache_hit_tokens":12,"prompt_cache_miss_tokens":8,"prompt_tokens_details":{"cached_tokens":12}}"#,
            tokens(20, 12, 5, 0),
        ),
        (
            "moonshot",
            r#"{"prompt_tokens":20,"completion_tokens":5,"total_tokens":25,"cached_tokens":6}"#,
            tokens(20, 6, 5, 0),
        ),
        (
            "gemini, thoughts in the total only",
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":115}"#,
            tokens(10, 0, 105, 100),
        ),
        (
            "null details",
            r#"{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":null}"#,
            tokens(1, 0, 2, 0),
        ),
        (
            "floats",
            r#"{"prompt_tokens":1.0,"completion_tokens":2.0}"#,
            tokens(1, 0, 2, 0),
        ),
        (
            "more cached than there is",
            r#"{"prompt_tokens":3,"completion_tokens":2,"cached_tokens":9}"#,
            tokens(3, 3, 2, 0),
        ),
        ("nothing", "{}", None),
        ("null", "null", None),
        ("texts", r#"{"prompt_tokens":"1","completion_tokens":"2"}"#, None),
        ("negative", r#"{"prompt_tokens":-1,"completion_tokens":2}"#, None),
        (
            "nonsense",
            r#"{"prompt_tokens":18446744073709551615,"completion_tokens":18446744073709551615,"total_tokens":18446744073709551615}"#,
            None,
        ),
    ] {
        assert_eq!(usage(json), expected, "{provider}");
    }
}

#[test]
fn chunks_are_told_apart() {
    let mut meter = Meter::default();
    let mut read = |data: &str| meter.read_chunk(data.as_bytes());
    assert_eq!(
        read(r#"{"id":"c1","created":7,"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#),
        Chunk::Part
    );
    assert_eq!(
        read(r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#),
        Chunk::UsageOnly
    );
    assert_eq!(read(r#"{"choices":[],"usage":null}"#), Chunk::Part);
    assert_eq!(read(r#"{"choices":[],"prompt_filter_results":[]}"#), Chunk::Part);
    assert_eq!(read(" [DONE] "), Chunk::Done);
    assert_eq!(read("{\"choices\":["), Chunk::Garbled);
    assert_eq!(read("<html>"), Chunk::Garbled);
    assert_eq!(read("{} {}"), Chunk::Garbled);
    assert!(
        matches!(read(r#"{"error":{"message":"overloaded","code":503}}"#), Chunk::Fault(fault) if fault.status == Some(503))
    );
    assert_eq!(read(r#"{"error":null,"choices":[]}"#), Chunk::Part);
    assert_eq!((meter.head().id.as_str(), meter.head().created), ("c1", 7));
    assert!(!meter.produced());
}

#[test]
fn everything_generated_counts_as_content() {
    for delta in [
        r#"{"content":"x"}"#,
        r#"{"reasoning_content":"x"}"#,
        r#"{"refusal":"x"}"#,
        r#"{"tool_calls":[{"index":0,"function":{"name":"f","arguments":""}}]}"#,
        r#"{"function_call":{"arguments":"{"}}"#,
    ] {
        let mut meter = Meter::default();
        meter.read_chunk(format!(r#"{{"choices":[{{"delta":{delta}}}]}}"#).as_bytes());
        assert!(meter.produced(), "{delta}");
    }
    for delta in [
        r#"{"content":""}"#,
        r#"{"content":null}"#,
        r#"{"role":"assistant"}"#,
        "{}",
        "null",
    ] {
        let mut meter = Meter::default();
        meter.read_chunk(format!(r#"{{"choices":[{{"delta":{delta}}}]}}"#).as_bytes());
        assert!(!meter.produced(), "{delta}");
    }
}

#[test]
fn zero_usage_beside_generated_text_is_no_usage() {
    let mut meter = Meter::default();
    meter.read_chunk(
        br#"{"choices":[{"delta":{"content":"hello"}}],"usage":{"prompt_tokens":0,"completion_tokens":0}}"#,
    );
    assert_eq!(meter.usage(), None);
    assert_eq!(meter.text(), ("hello", 0));
}

#[test]
fn usage_within_a_choice_is_found() {
    let mut meter = Meter::default();
    let chunk = meter.read_chunk(
        br#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":3,"completion_tokens":4}}]}"#,
    );
    assert_eq!(chunk, Chunk::Part);
    assert_eq!(meter.usage().map(|usage| usage.output), Some(4));
}

#[test]
fn text_beyond_the_bound_is_counted_by_its_bytes() {
    let mut meter = Meter::default();
    let delta = json!({"choices": [{"delta": {"content": "é".repeat(600_000)}}]}).to_string();
    for _ in 0..5 {
        meter.read_chunk(delta.as_bytes());
    }
    let (text, cut) = meter.text();
    assert_eq!(text.len() + cut, 5 * 1_200_000);
    assert!(text.len() <= MOST_TEXT);
}

fn cost() -> Cost {
    Cost {
        charged: Usdt::from_nano(1_500),
        spent_before: Usdt::from_nano(i64::MAX),
        decimals: Decimals::new(18).unwrap(),
    }
}

const COST: &str = r#""total_cost":1500000000000,"expense_till_now":9223372036854775807000000000"#;

fn with_cost(answer: &str) -> String {
    let document = Document::read(Bytes::copy_from_slice(answer.as_bytes()), &mut Meter::default());
    let tokens = TokenUsage {
        input: 1,
        cached: 0,
        output: 2,
        reasoning: 0,
    };
    let bytes = document.ok().unwrap().with_cost(cost(), tokens);
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_cost_is_spliced_into_usage_and_every_other_byte_stays() {
    for (answer, expected) in [
        (
            r#"{"choices":[ ],"usage":{"prompt_tokens":1.0} , "x":1e3}"#,
            r#"{"choices":[ ],"usage":{"prompt_tokens":1.0,COST} , "x":1e3}"#,
        ),
        (
            r#"{"usage":{ },"choices":[]}"#,
            r#"{"usage":{ COST},"choices":[]}"#,
        ),
        (
            r#"{"usage":{"total_cost":5,"a":"\u0041","expense_till_now":6}}"#,
            r#"{"usage":{"a":"\u0041",COST}}"#,
        ),
        (
            r#" {"choices":[],"usage":null}"#,
            r#" {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0},COST}}"#,
        ),
        (
            r#"{"choices":[]}"#,
            r#"{"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0},COST},"choices":[]}"#,
        ),
    ] {
        let got = with_cost(answer);
        assert_eq!(got, expected.replace("COST", COST));
        assert!(serde_json::from_str::<Value>(&got).is_ok());
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_meter_panic(reads in prop::collection::vec(any::<Vec<u8>>(), 0..4)) {
        let mut meter = Meter::default();
        for read in &reads {
            meter.read_chunk(read);
        }
        let _ = Document::read(Bytes::from(reads.concat()), &mut meter);
    }

    #[test]
    fn mangled_chunks_never_panic(at in 0usize..150, text in "[\\[\\]{}\",:0-9a-z\\\\]{0,4}", cut in 0usize..150) {
        let mut chunk = r#"{"id":"a","choices":[{"delta":{"content":"x","tool_calls":[{"function":{"name":"f"}}]}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#.to_owned();
        chunk.insert_str(at.min(chunk.len()), &text);
        chunk.truncate(cut.max(40));
        let mut meter = Meter::default();
        meter.read_chunk(chunk.as_bytes());
        if let Ok(document) = Document::read(Bytes::from(chunk), &mut meter) {
            let out = document.with_cost(cost(), TokenUsage::default());
            prop_assert!(serde_json::from_slice::<Value>(&out).is_ok());
        }
    }
}

#[test]
fn chunks_without_identity_are_told_from_those_with_it() {
    let mut meter = Meter::default();
    let (_, place) =
        meter.read(br#"{"id":"a","object":"o","created":1,"model":"m","choices":[{"delta":{}}]}"#);
    assert!(place.given.complete() && !meter.unnamed());
    let mut meter = Meter::default();
    for _ in 0..2 {
        let (chunk, place) = meter.read(br#"{"model":"m","choices":[{"delta":{"content":"x"}}]}"#);
        assert_eq!(chunk, Chunk::Part);
        assert!(place.given.model && !place.given.complete() && meter.unnamed());
    }
}

#[test]
fn an_error_in_a_list_is_an_error_and_not_garbage() {
    let mut meter = Meter::default();
    let (chunk, _) = meter.read(br#"[{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}]"#);
    assert!(matches!(chunk, Chunk::Fault(fault) if fault.status == Some(503)));
    assert_eq!(meter.read(b"[1]").0, Chunk::Garbled);
}
