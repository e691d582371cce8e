//! Answers in pieces.

use super::stage::*;
use crate::{
    completions::Answer,
    ports::{UpstreamAnswer, UpstreamError},
};
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use haithe_billing::capture::{CallOutcome, TokenUsage};
use haithe_kernel::{Failure, Kind, Usdt};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use std::sync::atomic::Ordering;

const ASK: &str =
    r#"{"model":"tokens","messages":[{"role":"user","content":"hi"}],"max_tokens":10,"stream":true}"#;
const ROLE: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"up\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],\"usage\":null}\n\n";
const HEL: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"up\",\"choices\":[{\"delta\":{\"content\":\"hel\"},\"x\":1.0}]}\n\n";
const LO: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"up\",\"choices\":[{\"delta\":{\"content\":\"lo\"}}]}\n\n";
const STOP: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"up\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str =
    "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":5}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn ask_usage() -> String {
    ASK.replace(
        "\"stream\":true",
        "\"stream\":true,\"stream_options\":{\"include_usage\":true}",
    )
}

fn ask_per_call() -> String {
    ASK.replace("\"tokens\"", "\"calls\"")
}

#[tokio::test]
async fn a_complete_stream_is_charged_as_reported_and_its_usage_chunk_dropped() {
    let said = [ROLE, HEL, LO, STOP, USAGE, DONE];
    let stage = stage(reads(&said));
    assert_eq!(stage.streamed(ASK).await, [ROLE, HEL, LO, STOP, DONE].concat());
    let charge = stage.charge();
    assert_eq!(
        charge.usage.tokens,
        TokenUsage {
            input: 20,
            output: 5,
            ..TokenUsage::default()
        }
    );
    assert_eq!(charge.cost(), Usdt::from_nano(20 + 10));
    assert_eq!(charge.usage.outcome, CallOutcome::Complete);
    assert!(charge.usage.streamed && !charge.usage.estimated);
    assert_eq!(
        charge.usage.response_hash,
        <[u8; 32]>::from(Sha256::digest(said.concat()))
    );
    stage.assert_nothing_held();
    let sent: serde_json::Value = serde_json::from_slice(&stage.asked()[0].body).unwrap();
    assert_eq!(sent["stream_options"]["include_usage"], true);
}

#[tokio::test]
async fn a_caller_who_asks_for_usage_gets_it_with_the_cost() {
    let stage = stage(reads(&[ROLE, HEL, LO, STOP, USAGE, DONE]));
    let usage = USAGE.replace("5}}", "5,\"total_cost\":30,\"expense_till_now\":0}}");
    assert_eq!(
        stage.streamed(&ask_usage()).await,
        [ROLE, HEL, LO, STOP, &usage, DONE].concat()
    );
}

#[tokio::test]
async fn a_caller_who_asks_for_usage_gets_it_from_providers_that_send_none_of_their_own() {
    let within = STOP.replace(
        "}]}",
        "}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}",
    );
    for (stop, tokens, estimated) in [
        (STOP, "\"prompt_tokens\":8,\"completion_tokens\":5", true),
        (&within, "\"prompt_tokens\":3,\"completion_tokens\":4", false),
    ] {
        let stage = stage(reads(&[ROLE, HEL, LO, stop, DONE]));
        let said = stage.streamed(&ask_usage()).await;
        let last = said.split("\n\n").nth(4).unwrap();
        assert!(last.starts_with("data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"tokens\",\"choices\":[],\"usage\":{"), "{last}");
        assert!(last.contains(tokens) && last.contains("total_cost"), "{last}");
        assert!(said.ends_with(DONE));
        assert_eq!(stage.charge().usage.estimated, estimated);
    }
}

#[tokio::test]
async fn every_read_is_passed_on_at_once() {
    let (feed, script) = feed();
    let stage = stage(script);
    say(&feed, ROLE);
    let mut events = stage.stream(ASK).await;
    assert_eq!(events.next().await.unwrap(), ROLE);
    assert!(events.next().now_or_never().is_none(), "nothing more has come");
    say(&feed, HEL);
    assert_eq!(events.next().await.unwrap(), HEL);
    // An event and a half: the whole one goes on, the half waits for its end.
    say(&feed, &format!("{LO}{}", &STOP[..20]));
    assert_eq!(events.next().await.unwrap(), LO);
    assert!(events.next().now_or_never().is_none());
    say(&feed, &STOP[20..]);
    assert_eq!(events.next().await.unwrap(), STOP);
    say(&feed, &format!("{USAGE}{DONE}"));
    assert_eq!(events.next().await.unwrap(), DONE);
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn several_events_of_one_read_are_one_piece() {
    let read: &'static [u8] = [HEL, LO].concat().leak().as_bytes();
    let stage = stage(move |_| {
        let reads = vec![
            Ok(Bytes::from_static(read)),
            Ok(Bytes::from_static(DONE.as_bytes())),
        ];
        Ok(UpstreamAnswer::Stream(futures::stream::iter(reads).boxed()))
    });
    let pieces: Vec<Bytes> = stage.stream(ASK).await.collect().await;
    assert_eq!(
        pieces,
        [Bytes::from_static(read), Bytes::from_static(DONE.as_bytes())]
    );
    assert_eq!(pieces[0].as_ptr(), read.as_ptr(), "and not a copy");
}

#[tokio::test]
async fn comments_pass_at_once_so_that_nobody_times_out() {
    let (feed, script) = feed();
    let stage = stage(script);
    say(&feed, ": keep-alive\n\n");
    let mut events = stage.stream(ASK).await;
    assert_eq!(events.next().await.unwrap(), ": keep-alive\n\n");
}

#[tokio::test]
async fn the_last_event_waits_until_the_charge_is_on_disk() {
    let stage = stage(reads(&[ROLE, HEL, STOP, USAGE, DONE]));
    stage.ledger.slow.store(true, Ordering::SeqCst);
    let mut events = stage.stream(ASK).await;
    for piece in [ROLE, HEL, STOP] {
        assert_eq!(events.next().await.unwrap(), piece);
    }
    for _ in 0..50 {
        assert!(
            events.next().now_or_never().is_none(),
            "said [DONE] before the charge was recorded"
        );
        tokio::task::yield_now().await;
    }
    stage.ledger.gate.notify_one();
    assert_eq!(events.next().await.unwrap(), DONE);
    assert_eq!(stage.charges().len(), 1);
}

#[tokio::test]
async fn a_stream_whose_charge_cannot_be_recorded_ends_with_an_error() {
    let stage = stage(reads(&[ROLE, HEL, STOP, USAGE, DONE]));
    stage.ledger.broken.store(true, Ordering::SeqCst);
    let said = stage.streamed(ASK).await;
    assert!(
        said.contains("\"code\":\"charge_not_recorded\"") && !said.contains("[DONE]"),
        "{said}"
    );
    stage.assert_free();
}

#[tokio::test]
async fn a_provider_that_dies_mid_stream_is_charged_for_what_arrived() {
    for reads_then in [
        vec![ROLE, HEL],
        vec![ROLE, HEL, "data: {\"choices\":[{\"delta\":{\"conte"],
        vec![ROLE, HEL, "data: not json\n\n", LO],
        vec![
            ROLE,
            HEL,
            "data: {\"error\":{\"message\":\"overloaded\"}}\n\n",
            LO,
        ],
    ] {
        let stage = stage(reads(&reads_then));
        let said = stage.streamed(ASK).await;
        let (passed, error) = said.split_at(ROLE.len() + HEL.len());
        assert_eq!(passed, [ROLE, HEL].concat());
        assert!(
            error.starts_with("data: {\"error\":{\"message\":") && error.ends_with("\n\n"),
            "{error}"
        );
        assert!(!said.contains("[DONE]"));
        let charge = stage.charge();
        assert_eq!(charge.usage.outcome, CallOutcome::Partial);
        assert!(charge.usage.estimated);
        assert_eq!(
            charge.usage.tokens,
            TokenUsage {
                input: 8,
                output: 3,
                ..TokenUsage::default()
            }
        );
        stage.assert_nothing_held();
    }
}

#[tokio::test]
async fn a_provider_that_pauses_too_long_mid_stream_is_charged_for_what_arrived() {
    let stage = stage(|_| {
        let reads = vec![
            Ok(Bytes::from_static(HEL.as_bytes())),
            Err(UpstreamError::TimedOut),
        ];
        Ok(UpstreamAnswer::Stream(futures::stream::iter(reads).boxed()))
    });
    let said = stage.streamed(ASK).await;
    assert!(
        said.starts_with(HEL) && said.contains("\"code\":\"upstream_timeout\""),
        "{said}"
    );
    assert_eq!(stage.charge().usage.outcome, CallOutcome::Partial);
}

#[tokio::test]
async fn a_provider_that_fails_before_its_first_event_is_an_error_and_costs_nothing() {
    for (said, kind) in [
        (
            "data: {\"error\":{\"message\":\"bad\",\"type\":\"invalid_request_error\"}}\n\n",
            Kind::Invalid,
        ),
        (
            "data: {\"error\":{\"message\":\"busy\",\"code\":429}}\n\n",
            Kind::RateLimited,
        ),
        ("<html>\n\n<body>", Kind::Upstream),
        ("data: <html>\n\n", Kind::Upstream),
        ("data: [DONE]\n\n", Kind::Upstream),
        ("", Kind::Upstream),
    ] {
        let stage = stage(reads(&[said]));
        match stage.run(ASK).await {
            Err(error) => assert_eq!(error.kind(), kind, "{said}"),
            // Lines that are no data pass like comments; the end of the stream is an event then.
            Ok(Answer::Stream { events, .. }) => {
                let pieces: Vec<Bytes> = events.collect().await;
                let text = String::from_utf8(pieces.concat()).unwrap();
                assert!(
                    said.starts_with("<html>") && text.contains("\"error\""),
                    "{said} gave {text}"
                );
            }
            Ok(Answer::Json { .. }) => panic!("a document"),
        }
        stage.assert_free();
    }
}

#[tokio::test]
async fn a_document_where_a_stream_was_asked_for_is_the_providers_error() {
    let stage = stage(|_| document(r#"{"error":{"message":"no","code":400}}"#));
    assert_eq!(stage.run(ASK).await.unwrap_err().code(), "upstream_refused");
    stage.assert_free();
}

#[tokio::test]
async fn a_provider_that_fails_before_its_first_token_costs_nothing() {
    let stage = stage(reads(&[ROLE]));
    let said = stage.streamed(ASK).await;
    assert!(
        said.starts_with(ROLE) && said.contains("\"code\":\"upstream_failed\""),
        "{said}"
    );
    stage.assert_free();
}

#[tokio::test]
async fn a_provider_that_says_why_it_stopped_needs_no_done() {
    let stage = stage(reads(&[ROLE, HEL, LO, STOP]));
    assert_eq!(stage.streamed(ASK).await, [ROLE, HEL, LO, STOP, DONE].concat());
    assert_eq!(stage.charge().usage.outcome, CallOutcome::Complete);
    let stage = super::stage::stage(reads(&[ROLE, HEL, STOP, "data: [DONE]"]));
    assert_eq!(stage.streamed(ASK).await, [ROLE, HEL, STOP, DONE].concat());
}

#[tokio::test]
async fn usage_in_every_event_does_not_make_a_dead_stream_complete() {
    let hel = HEL.replace(
        "}]}",
        "}],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":3}}",
    );
    let stage = stage(reads(&[ROLE, &hel]));
    assert!(stage.streamed(ASK).await.contains("upstream_failed"));
    let usage = stage.charge().usage;
    assert_eq!((usage.outcome, usage.estimated), (CallOutcome::Partial, false));
    assert_eq!((usage.tokens.input, usage.tokens.output), (20, 3));
}

#[tokio::test]
async fn a_stream_is_complete_when_every_choice_is() {
    let ask = ASK.replace("\"stream\"", "\"n\":2,\"stream\"");
    let stage1 = stage(reads(&[HEL, STOP]));
    assert!(stage1.streamed(&ask).await.contains("upstream_failed"));
    assert_eq!(stage1.charge().usage.outcome, CallOutcome::Partial);
    let stage2 = stage(reads(&[HEL, STOP, STOP]));
    assert!(stage2.streamed(&ask).await.ends_with(DONE));
}

#[tokio::test]
async fn a_caller_who_leaves_stops_the_provider_and_pays_for_what_was_generated() {
    let (feed, script) = feed();
    let stage = stage(script);
    say(&feed, &[ROLE, HEL].concat());
    let mut events = stage.stream(ASK).await;
    events.next().await.unwrap();
    assert!(!feed.is_closed());
    drop(events);
    assert!(feed.is_closed(), "the provider's stream was dropped");
    stage.charged(1).await;
    let charge = stage.charge();
    assert_eq!(
        (charge.usage.outcome, charge.usage.estimated),
        (CallOutcome::Aborted, true)
    );
    assert_eq!(
        charge.usage.tokens,
        TokenUsage {
            input: 8,
            output: 3,
            ..TokenUsage::default()
        }
    );
    stage.assert_nothing_held();
}

#[tokio::test]
async fn a_caller_who_leaves_while_the_charge_is_written_changes_nothing() {
    let stage = stage(reads(&[HEL, STOP, USAGE, DONE]));
    stage.ledger.slow.store(true, Ordering::SeqCst);
    let mut events = stage.stream(ASK).await;
    while events.next().now_or_never().flatten().is_some() {}
    drop(events);
    stage.ledger.gate.notify_one();
    stage.charged(1).await;
    assert_eq!(stage.charge().usage.outcome, CallOutcome::Complete);
}

#[tokio::test]
async fn a_caller_who_has_read_everything_is_charged_once() {
    let stage = stage(reads(&[HEL, STOP, USAGE, DONE]));
    let mut events = stage.stream(ASK).await;
    while events.next().await.is_some() {}
    assert_eq!(events.next().await, None);
    drop(events);
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    stage.charge();
}

#[tokio::test]
async fn per_call_prices_are_due_once_a_content_byte_was_handed_on() {
    let (feed, script) = feed();
    let stage1 = stage(script);
    say(&feed, HEL);
    drop(stage1.stream(&ask_per_call()).await);
    stage1.charged(1).await;
    assert_eq!(
        stage1.charge().cost(),
        Usdt::ZERO,
        "generated, but nothing was handed on"
    );

    let (feed, script) = super::stage::feed();
    let stage2 = stage(script);
    say(&feed, HEL);
    let mut events = stage2.stream(&ask_per_call()).await;
    events.next().await.unwrap();
    drop(events);
    stage2.charged(1).await;
    assert_eq!(stage2.charge().cost(), Usdt::from_nano(5_000));

    let stage3 = stage(reads(&[HEL]));
    assert!(stage3.streamed(&ask_per_call()).await.contains("upstream_failed"));
    assert_eq!(
        stage3.charge().cost(),
        Usdt::from_nano(5_000),
        "a provider that dies after content"
    );

    let stage4 = stage(reads(&[&[HEL, STOP, DONE].concat()]));
    stage4.streamed(&ask_per_call()).await;
    assert_eq!(
        stage4.charge().cost(),
        Usdt::from_nano(5_000),
        "everything in one read"
    );
}

proptest! {
    #[test]
    fn however_the_stream_is_cut_the_caller_gets_the_same_bytes_and_the_same_bill(
        cuts in prop::collection::vec(0usize..700, 0..8),
        crlf: bool,
    ) {
        let eol = |text: &str| if crlf { text.replace('\n', "\r\n") } else { text.to_owned() };
        let whole: String = [ROLE, ": ping\n\n", HEL, LO, STOP, USAGE, DONE].iter().map(|part| eol(part)).collect();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(whole.len())).collect();
        cuts.sort_unstable();
        cuts.push(whole.len());
        let mut from = 0;
        let pieces: Vec<&str> = cuts.iter().map(|cut| { let piece = &whole[from..*cut]; from = *cut; piece }).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (said, charge) = runtime.block_on(async {
            let stage = stage(reads(&pieces));
            (stage.streamed(ASK).await, stage.charge())
        });
        let passed: String = [ROLE, ": ping\n\n", HEL, LO, STOP].iter().map(|part| eol(part)).collect();
        prop_assert_eq!(said, passed + DONE);
        prop_assert_eq!(charge.cost(), Usdt::from_nano(30));
    }
}

#[tokio::test]
async fn chunks_that_say_nothing_of_themselves_bear_the_id_of_the_first() {
    let first = "data: {\"id\":\"c\",\"created\":7,\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    let next = "data: {\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}]}\n\n";
    let stage = stage(reads(&[first, next, DONE]));
    let said = stage.streamed(&ask_usage()).await;
    let chunks = said
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: {"));
    let chunks: Vec<serde_json::Value> = chunks
        .map(|rest| serde_json::from_str(&format!("{{{rest}")).unwrap())
        .collect();
    assert_eq!(chunks.len(), 3);
    for chunk in chunks {
        let of = ["id", "object", "created", "model"].map(|name| chunk[name].to_string());
        assert_eq!(
            of,
            ["\"c\"", "\"chat.completion.chunk\"", "7", "\"tokens\""],
            "{chunk}"
        );
    }
}
