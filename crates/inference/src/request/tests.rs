//! Requests: what is refused, what is read, and that everything else survives byte by byte.

use super::*;
use crate::catalogue::{Capabilities, Price, Tokenizer};
use haithe_kernel::{Failure, ModelId};
use proptest::prelude::*;
use serde_json::{Value, json};

fn parse(body: &str) -> Result<ChatRequest, CompletionError> {
    ChatRequest::parse(Bytes::copy_from_slice(body.as_bytes()), RequestLimits::default())
}

fn model(upstream: &str, output_field: OutputField) -> Model {
    Model {
        id: ModelId(1),
        name: "public".into(),
        aliases: Vec::new(),
        display_name: "Public".into(),
        provider: "p".into(),
        upstream_name: upstream.into(),
        active: true,
        price: Price::default(),
        context: 1_000,
        max_output: 100,
        prompt_overhead: 0,
        tokenizer: Tokenizer::default(),
        image_tokens: None,
        output_field,
        capabilities: Capabilities::default(),
        fallbacks: Vec::new(),
    }
}

fn upstream(body: &str, field: OutputField, most: u64) -> String {
    let bytes = parse(body).unwrap().for_upstream(&model("up", field), most);
    String::from_utf8(bytes.to_vec()).unwrap()
}

const MESSAGES: &str = r#""messages":[{"role":"user","content":"hi"}]"#;

fn with(field: &str) -> String {
    format!("{{\"model\":\"m\",{MESSAGES},{field}}}")
}

#[test]
fn a_request_is_read_for_what_routing_limits_and_money_need() {
    let request = parse(&with(
        r#""n":3,"stream":true,"stream_options":{"include_usage":true},"max_tokens":9,"max_completion_tokens":7"#,
    ))
    .unwrap();
    assert_eq!(request.model(), Some("m"));
    assert_eq!(
        (request.choices(), request.stream(), request.include_usage()),
        (3, true, true)
    );
    assert_eq!(request.max_output(), Some(7));
    assert_eq!(request.media(), Media::default());
}

#[test]
fn null_means_absent() {
    let request = parse(&format!(
        "{{\"model\":null,{MESSAGES},\"n\":null,\"stream\":null,\"stream_options\":null,\"max_tokens\":null,\"audio\":null,\"service_tier\":null}}"
    ))
    .unwrap();
    assert_eq!(
        (request.model(), request.choices(), request.stream()),
        (None, 1, false)
    );
    assert_eq!(request.max_output(), None);
}

#[test]
fn a_null_is_replaced_and_never_joined_by_a_second_field_of_its_name() {
    for (nulls, field, expected) in [
        (
            r#""max_tokens":null"#,
            OutputField::MaxTokens,
            r#""max_tokens":50"#,
        ),
        (
            r#""max_tokens":null"#,
            OutputField::MaxCompletionTokens,
            r#""max_completion_tokens":50"#,
        ),
        (
            r#""max_tokens":null,"max_completion_tokens":7"#,
            OutputField::MaxTokens,
            r#""max_tokens":50,"max_completion_tokens":7"#,
        ),
        (
            r#""max_tokens":7,"max_completion_tokens":null"#,
            OutputField::MaxTokens,
            r#""max_tokens":7,"max_completion_tokens":null"#,
        ),
    ] {
        let body = format!("{{\"model\":null,{MESSAGES},{nulls}}}");
        let sent = upstream(&body, field, 50);
        assert_eq!(sent, format!("{{\"model\":\"up\",{MESSAGES},{expected}}}"));
    }
}

#[test]
fn a_broken_rule_is_named_with_its_field() {
    for (body, param) in [
        ("", None),
        ("[]", None),
        ("null", None),
        ("{", None),
        (r#"{"model":"m"} x"#, None),
        (r#"{"model":"m","model":"n"}"#, None),
        (r#"{"model":"m"}"#, Some("messages")),
        (r#"{"messages":[]}"#, Some("messages")),
        (r#"{"messages":{}}"#, Some("messages")),
        (r#"{"messages":"hi"}"#, Some("messages")),
        (r#"{"messages":["hi"]}"#, Some("messages[0]")),
        (
            r#"{"messages":[{"role":"user"},{"content":"hi"}]}"#,
            Some("messages[1].role"),
        ),
        (r#"{"messages":[{"role":7}]}"#, Some("messages[0].role")),
        (r#"{"messages":[{"role":""}]}"#, Some("messages[0].role")),
        (&with(r#""n":0"#), Some("n")),
        (&with(r#""n":9"#), Some("n")),
        (&with(r#""n":1.5"#), Some("n")),
        (&with(r#""n":"2""#), Some("n")),
        (&with(r#""stream":"yes""#), Some("stream")),
        (&with(r#""stream_options":true"#), Some("stream_options")),
        (
            &with(r#""stream_options":{"include_usage":1}"#),
            Some("stream_options"),
        ),
        (
            &with(r#""stream_options":{"include_usage":true,"include_usage":false}"#),
            Some("stream_options"),
        ),
        (&with(r#""max_tokens":0"#), Some("max_tokens")),
        (&with(r#""max_tokens":-1"#), Some("max_tokens")),
        (
            &with(r#""max_completion_tokens":"all""#),
            Some("max_completion_tokens"),
        ),
        (&with(r#""max\u005ftokens":5"#), Some("max_tokens")),
        (&with(r#""tools":{}"#), Some("tools")),
        (r#"{"model":7,"messages":[{"role":"user"}]}"#, Some("model")),
    ] {
        let error = parse(body).unwrap_err();
        assert_eq!(
            (error.code(), error.param()),
            ("invalid_request", param),
            "{body}"
        );
    }
}

#[test]
fn fields_that_would_change_the_price_are_refused_by_name() {
    for (field, param) in [
        (r#""service_tier":"priority""#, "service_tier"),
        (r#""web_search_options":{}"#, "web_search_options"),
        (r#""audio":{"voice":"alloy"}"#, "audio"),
        (r#""modalities":["text","audio"]"#, "modalities"),
        (r#""prediction":{"type":"content","content":"x"}"#, "prediction"),
        (r#""best_of":4"#, "best_of"),
        (r#""enable_search":true"#, "enable_search"),
        (r#""plugins":[{"id":"web"}]"#, "plugins"),
        (r#""tools":[{"google_search":{}}]"#, "tools"),
        (r#""tools":[{"type":"function"},{"type":"web_search"}]"#, "tools"),
        (r#""tools":[{"type":"builtin_function"}]"#, "tools"),
    ] {
        let error = parse(&with(field)).unwrap_err();
        assert_eq!(
            (error.code(), error.param()),
            ("unsupported_parameter", Some(param)),
            "{field}"
        );
    }
    for field in [
        r#""service_tier":"default""#,
        r#""modalities":["text"]"#,
        r#""enable_search":false"#,
        r#""tools":[{"type":"function","function":{"name":"f"}},{"type":"custom"}]"#,
        r#""reasoning_effort":"ultra""#,
        r#""thinking":{"type":"enabled"}"#,
    ] {
        assert!(parse(&with(field)).is_ok(), "{field}");
    }
}

#[test]
fn what_is_too_large_or_too_deep_is_refused() {
    let limits = RequestLimits {
        bytes: 10,
        choices: 1,
    };
    let error = ChatRequest::parse(Bytes::from_static(b"{\"messages\":[]}"), limits).unwrap_err();
    assert_eq!(error.code(), "request_too_large");
    let deep = with(&format!("\"x\":{}{}", "[".repeat(200), "]".repeat(200)));
    assert_eq!(parse(&deep).unwrap_err().code(), "invalid_request");
    let brackets_in_text = with(&format!("\"x\":\"{}\\\"{}\"", "[".repeat(200), "{".repeat(200)));
    assert!(parse(&brackets_in_text).is_ok());
    let wide: Vec<String> = (0..200).map(|n| format!("\"f{n}\":1")).collect();
    assert_eq!(
        parse(&with(&wide.join(","))).unwrap_err().code(),
        "invalid_request"
    );
    assert_eq!(
        ChatRequest::parse(Bytes::from_static(b"{\"a\":\"\xff\"}"), RequestLimits::default())
            .unwrap_err()
            .code(),
        "invalid_request"
    );
}

#[test]
fn images_and_files_are_counted_because_their_bytes_bound_nothing() {
    let body = r#"{"messages":[
        {"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"http://x"}},{"type":"file"}]},
        {"role":"assistant","audio":{"id":"a1"},"content":null},
        {"role":"user","content":[{"type":"image_url"}]}]}"#;
    assert_eq!(parse(body).unwrap().media(), Media { images: 2, others: 2 });
}

#[test]
fn a_request_that_needs_no_change_is_forwarded_without_a_copy() {
    let body = format!(r#"{{"model":"up",{MESSAGES},"max_tokens":5,"x":1e5}}"#);
    let request = parse(&body).unwrap();
    let sent = request.for_upstream(&model("up", OutputField::MaxTokens), 5);
    assert_eq!(sent.as_ptr(), request.body().as_ptr());
}

#[test]
fn the_bound_is_written_where_the_provider_obeys_it() {
    let (old, new) = (OutputField::MaxTokens, OutputField::MaxCompletionTokens);
    for (field, obeyed, sent) in [
        ("", old, r#"{"max_tokens":5,"model":"up",M}"#),
        ("", new, r#"{"max_completion_tokens":5,"model":"up",M}"#),
        (r#","max_tokens":3"#, old, r#"{"model":"up",M,"max_tokens":3}"#),
        (r#","max_tokens":9"#, old, r#"{"model":"up",M,"max_tokens":5}"#),
        (
            r#","max_tokens": 9"#,
            new,
            r#"{"model":"up",M,"max_completion_tokens": 5}"#,
        ),
        (
            r#","max_completion_tokens":3"#,
            old,
            r#"{"model":"up",M,"max_tokens":3}"#,
        ),
        (
            r#","max_tokens":9,"max_completion_tokens":4"#,
            new,
            r#"{"model":"up",M,"max_tokens":5,"max_completion_tokens":4}"#,
        ),
    ] {
        let body = format!("{{\"model\":\"m\",{MESSAGES}{field}}}");
        assert_eq!(upstream(&body, obeyed, 5), sent.replace('M', MESSAGES), "{field}");
    }
}

#[test]
fn usage_is_always_asked_of_a_streaming_provider() {
    for (field, sent) in [
        (
            r#""stream":true"#,
            r#"{"stream_options":{"include_usage":true},"max_tokens":5,"stream":true"#,
        ),
        (
            r#""stream":true,"stream_options":null"#,
            r#"{"max_tokens":5,"stream":true,"stream_options":{"include_usage":true}"#,
        ),
        (
            r#""stream":true,"stream_options":{}"#,
            r#"{"max_tokens":5,"stream":true,"stream_options":{"include_usage":true}"#,
        ),
        (
            r#""stream":true,"stream_options":{ "x":1}"#,
            r#"{"max_tokens":5,"stream":true,"stream_options":{"include_usage":true, "x":1}"#,
        ),
        (
            r#""stream":true,"stream_options":{"include_usage": false,"x":1}"#,
            r#"{"max_tokens":5,"stream":true,"stream_options":{"include_usage": true,"x":1}"#,
        ),
        (r#""stream":false"#, r#"{"max_tokens":5,"stream":false"#),
    ] {
        let sent_body = upstream(
            &format!("{{{field},\"model\":\"up\",{MESSAGES}}}"),
            OutputField::MaxTokens,
            5,
        );
        let mut expected: Vec<char> = format!("{sent},\"model\":\"up\",{MESSAGES}}}").chars().collect();
        let mut got: Vec<char> = sent_body.chars().collect();
        if !field.contains("stream_options") && field.contains("true") {
            // Two fields put in front: their order says nothing.
            expected.sort_unstable();
            got.sort_unstable();
        }
        assert_eq!(got, expected, "{field}: {sent_body}");
        let _: Value = serde_json::from_str(&sent_body).unwrap();
    }
}

#[test]
fn a_project_without_a_named_model_gets_its_default_written_in() {
    let sent = upstream(&format!("  {{ {MESSAGES} }}"), OutputField::MaxTokens, 5);
    let sent: Value = serde_json::from_str(&sent).unwrap();
    assert_eq!((&sent["model"], &sent["max_tokens"]), (&json!("up"), &json!(5)));
}

#[test]
fn the_texts_of_a_request_are_found_for_counting() {
    let body = r#"{"messages":[{"role":"system","content":"be\nkind"},{"role":"user","name":"ann","content":[{"type":"text","text":"hello"},{"type":"image_url","image_url":{"url":"data:xyz"}}]},{"role":"assistant","tool_calls":[{"id":"c"}]}],"tools":[{"type":"function"}],"temperature":1}"#;
    let text = parse(body).unwrap().text();
    for part in ["be\nkind", "ann", "hello", "\"id\":\"c\"", "function"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("xyz") && !text.contains("temperature"));
}

#[test]
fn a_text_that_no_reader_can_decode_is_refused_wherever_it_stands() {
    for half in [
        r"\ud83d river",
        r"\ude00",
        r"a \ud83d\ud83d\ude00",
        r"\ud83d\n\ude00",
        r"\ud83d \ude00",
        r"\uD83Dx",
        r"\ud83d\\ude00",
    ] {
        for body in [
            format!(r#"{{"messages":[{{"role":"user","content":"{half}"}}]}}"#),
            format!(r#"{{"messages":[{{"role":"user","{half}":1,"content":"a"}}]}}"#),
            format!(
                r#"{{"messages":[{{"role":"user","content":[{{"{half}":1}},{{"type":"image_url","image_url":{{"url":"http://x"}}}}]}}]}}"#
            ),
            format!(r#"{{"{half}":1,{MESSAGES}}}"#),
            format!(r#"{{{MESSAGES},"tools":[{{"description":"{half}"}}]}}"#),
        ] {
            let error = parse(&body).unwrap_err();
            assert_eq!(error.code(), "invalid_request", "{body}");
            assert!(error.to_string().contains("surrogate"), "{error}");
        }
        let embedded = format!(r#"{{"model":"m","input":["a","{half}"]}}"#);
        let embedded = EmbeddingRequest::parse(embedded.into(), RequestLimits::default());
        assert!(embedded.is_err(), "{half}");
    }
    for whole in [
        r"\ud83d\ude00",
        r"\uD83D\uDE00 b",
        r"\\ud83d",
        r"\u00e9",
        "😀",
        r#"\"\\"#,
    ] {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"{whole}"}}]}}"#);
        assert!(parse(&body).is_ok(), "{whole}");
    }
}

#[test]
fn whatever_may_be_a_picture_or_a_file_counts_as_one() {
    for (part, images, others) in [
        (r#"{"image_url":{"url":"http://x"}}"#, 1, 0),
        (
            r#"{"type":"text","text":"a","image_url":{"url":"http://x"}}"#,
            1,
            0,
        ),
        (
            r#"{"type":"image_url","type":"text","image_url":"http://x"}"#,
            1,
            1,
        ),
        (r#"{"type":"text","type":"input_audio","input_audio":{}}"#, 0, 1),
        (r#"{"input_audio":{"data":"x"}}"#, 0, 1),
        (r#"{"text":"a"}"#, 0, 0),
        (r#""a text""#, 0, 0),
    ] {
        let body = format!(r#"{{"messages":[{{"role":"user","content":[{part}]}}]}}"#);
        assert_eq!(parse(&body).unwrap().media(), Media { images, others }, "{part}");
    }
    let odd = r#"{"messages":[{"role":"user","content":[{"type":1e999},{"type":"image_url"}]}]}"#;
    assert_eq!(parse(odd).unwrap_err().param(), Some("messages[0].content"));
}

#[test]
fn everything_that_may_become_part_of_a_prompt_is_counted() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":["first",{"type":"text","text":"second","note":"third"},7]}],"documents":[{"text":"fourth"}],"chat_template_kwargs":{"x":"fifth"},"metadata":{"a":"out"},"user":"out"}"#;
    let prompt = parse(body).unwrap().prompt();
    for part in ["first", "second", "third", "fourth", "fifth"] {
        assert!(prompt.contains(part), "{part} in {prompt}");
    }
    assert!(!prompt.contains("out"), "{prompt}");
}

/// JSON text of any shape, with odd spacing and numbers that no parser keeps.
fn odd_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("1.0e+5".to_owned()),
        Just("1e999".to_owned()),
        Just("-0.10".to_owned()),
        Just("123456789012345678901234567890".to_owned()),
        Just("null".to_owned()),
        Just("\"\\u00e9\\n\"".to_owned()),
        "\"[a-zé \\[\\]{},:]{0,12}\"".prop_map(|text| text),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" , "))),
            prop::collection::vec(inner, 0..4).prop_map(|items| {
                let fields: Vec<_> = items
                    .iter()
                    .enumerate()
                    .map(|(n, item)| format!("\"k{n}\" :{item}"))
                    .collect();
                format!("{{ {}}}", fields.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(body: Vec<u8>) {
        let _ = ChatRequest::parse(Bytes::from(body), RequestLimits::default());
    }

    #[test]
    fn nearly_valid_requests_never_panic(
        cut in 0usize..200,
        insert in prop::option::of((0usize..200, "[\\[\\]{}\",:0-9a-z\\\\]{1,3}")),
    ) {
        let mut body = with(r#""stream":true,"stream_options":{"include_usage":false},"max_tokens":9,"tools":[{"type":"function"}]"#);
        body.truncate(cut.max(1));
        if let Some((at, text)) = insert {
            body.insert_str(at.min(body.len()), &text);
        }
        if let Ok(request) = parse(&body) {
            let sent = request.for_upstream(&model("up", OutputField::MaxTokens), 5);
            prop_assert!(serde_json::from_slice::<Value>(&sent).is_ok());
        }
    }

    #[test]
    fn unknown_fields_survive_byte_by_byte_and_in_order(
        values in prop::collection::vec(odd_value(), 0..6),
        bound in 1u64..20,
    ) {
        let fields: String = values
            .iter()
            .enumerate()
            .map(|(n, value)| format!(" \"x_{n}\" : {value} ,"))
            .collect();
        let body = format!("{{{fields}\"model\":\"m\" , {MESSAGES},\"max_tokens\":10}}");
        let sent = upstream(&body, OutputField::MaxTokens, bound);
        let expected = body
            .replace("\"model\":\"m\"", "\"model\":\"up\"")
            .replace("\"max_tokens\":10", &format!("\"max_tokens\":{}", bound.min(10)));
        prop_assert_eq!(sent, expected);
    }
}
