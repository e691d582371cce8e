//! Callers that leave a stream before its first token.

use super::{
    routes::{HEL, STOP, ask, whom},
    stage::*,
};
use crate::{
    completions::CallPermit,
    ports::{UpstreamAnswer, UpstreamError, UpstreamRequest},
};
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use haithe_billing::capture::{CallOutcome, TokenUsage};
use haithe_kernel::Usdt;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

type Said = Result<UpstreamAnswer, UpstreamError>;

fn streamed(model: &str) -> String {
    ask(model, r#","stream":true"#)
}

/// `user`, `hi` and the ends of their lines, a token each character.
const INPUT: u64 = 8;

/// A stage whose provider answers once it is let, and a caller who left meanwhile.
async fn left(model: &str, script: impl FnMut(&UpstreamRequest) -> Said + Send + 'static) -> Stage {
    let stage = stage(script);
    stage.provider.slow.store(true, Ordering::SeqCst);
    let body = streamed(model);
    {
        let mut call = Box::pin(stage.run(&body));
        while stage.asked().is_empty() {
            assert!(futures::poll!(&mut call).is_pending());
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(
        stage.ledger.held.lock().unwrap().len(),
        1,
        "money is still set aside"
    );
    stage
}

/// Lets the provider answer, and waits until nothing is held any more.
async fn answered(stage: &Stage) {
    stage.provider.gate.notify_one();
    for _ in 0..10_000 {
        if stage.ledger.held.lock().unwrap().is_empty() {
            // Whatever else would be done for the call is done now.
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the hold was left behind");
}

fn assert_input_only(stage: &Stage, cost: i64) {
    let charge = stage.charge();
    let input = TokenUsage {
        input: INPUT,
        ..TokenUsage::default()
    };
    assert_eq!(charge.usage.tokens, input);
    assert_eq!(charge.cost(), Usdt::from_nano(cost));
    assert_eq!(charge.usage.outcome, CallOutcome::Aborted);
    assert!(charge.usage.estimated && charge.usage.streamed);
}

fn endless(_: &UpstreamRequest) -> Said {
    Ok(UpstreamAnswer::Stream(futures::stream::pending().boxed()))
}

/// Finding 5: the input of a request that the provider accepted is due, and no price per call.
#[tokio::test]
async fn a_departure_before_the_head_costs_the_input_once_the_request_is_accepted() {
    let stage = left("tokens", endless).await;
    answered(&stage).await;
    assert_input_only(&stage, INPUT as i64);
    let stage = left("calls", endless).await;
    answered(&stage).await;
    assert_input_only(&stage, 0);
}

/// Finding 5: what the provider says after its head is not read any more.
#[tokio::test]
async fn an_answer_that_comes_after_the_departure_is_not_read() {
    let stage = left("tokens", reads(&[HEL, STOP])).await;
    answered(&stage).await;
    assert_input_only(&stage, INPUT as i64);
}

/// Finding 5: a departure between the head and the first token costs the input.
#[tokio::test]
async fn a_departure_after_the_head_costs_the_input() {
    const ROLE: &str =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
    for said in [None, Some(ROLE)] {
        let stage = stage(move |_: &UpstreamRequest| {
            let events = said.map(|event| Ok(Bytes::from_static(event.as_bytes())));
            let events = futures::stream::iter(events).chain(futures::stream::pending());
            Ok(UpstreamAnswer::Stream(events.boxed()))
        });
        let body = streamed("tokens");
        let mut call = Box::pin(stage.run(&body));
        match said {
            None => {
                while stage.asked().is_empty() {
                    assert!(futures::poll!(&mut call).is_pending());
                    tokio::task::yield_now().await;
                }
                assert!(futures::poll!(&mut call).is_pending());
                drop(call);
            }
            Some(_) => drop(call.await.unwrap()),
        }
        stage.charged(1).await;
        assert_input_only(&stage, INPUT as i64);
        stage.assert_nothing_held();
    }
}

/// Finding 5: a refusal or a failure costs nothing, and nobody else is asked for a caller who left.
#[tokio::test]
async fn a_failure_after_the_departure_costs_nothing_and_ends_the_call() {
    let refused = || UpstreamError::Refused {
        status: 400,
        message: "no".into(),
        code: None,
        kind: None,
        param: None,
    };
    let failures: [fn() -> UpstreamError; 4] = [
        || UpstreamError::Failed("status 500".into()),
        || UpstreamError::TimedOut,
        || UpstreamError::RateLimited { retry_after: None },
        || UpstreamError::Credentials,
    ];
    for model in ["sturdy", "lonely", "falling"] {
        for failure in failures {
            let stage = left(model, move |_| Err(failure())).await;
            answered(&stage).await;
            assert_eq!(whom(&stage).len(), 1, "{model}");
            stage.assert_free();
        }
        let stage = left(model, move |_| Err(refused())).await;
        answered(&stage).await;
        assert_eq!(whom(&stage).len(), 1, "{model}");
        stage.assert_free();
    }
}

/// Finding 5: of attempts that failed over only the running one counts.
#[tokio::test]
async fn of_attempts_that_failed_over_only_the_running_one_counts() {
    let stage = stage(|request: &UpstreamRequest| match request.provider.as_str() {
        "q" => Err(UpstreamError::Credentials),
        _ => endless(request),
    });
    let body = streamed("falling");
    let mut call = Box::pin(stage.run(&body));
    while stage.asked().len() < 2 {
        assert!(futures::poll!(&mut call).is_pending());
        tokio::task::yield_now().await;
    }
    drop(call);
    stage.charged(1).await;
    assert_eq!(whom(&stage), ["q", "p"]);
    assert_input_only(&stage, 3 * INPUT as i64);
    assert_eq!(stage.charge().usage.provider, "p");
}

/// Finding 5: a caller whom the stopping service cuts off did not leave, and pays nothing. This held before
/// callers were charged for leaving, and must stay so.
#[tokio::test]
async fn a_stop_of_the_service_is_no_departure() {
    let stage = stage(endless);
    let body = streamed("tokens");
    let mut call = Box::pin(stage.run(&body));
    while stage.asked().is_empty() {
        assert!(futures::poll!(&mut call).is_pending());
        tokio::task::yield_now().await;
    }
    stage.tasks.stopping.store(true, Ordering::SeqCst);
    drop(call);
    tokio::task::yield_now().await;
    stage.assert_free();
}

/// Finding 7: the place of a call is occupied until its charge is on disk, whoever waits for it.
#[tokio::test]
async fn a_place_is_occupied_until_the_departed_call_is_charged() {
    struct Place(Arc<AtomicU32>);
    impl Drop for Place {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    for stream in [false, true] {
        let freed = Arc::new(AtomicU32::new(0));
        let mut stage = stage(move |request: &UpstreamRequest| match stream {
            true => endless(request),
            false => document(super::routes::SAID),
        });
        stage.provider.slow.store(true, Ordering::SeqCst);
        stage.ledger.slow.store(true, Ordering::SeqCst);
        stage.permit = CallPermit::new(Place(Arc::clone(&freed)));
        let body = ask("tokens", &format!(r#","stream":{stream}"#));
        let mut call = Box::pin(stage.run(&body));
        while stage.asked().is_empty() {
            assert!(call.as_mut().now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        drop(call);
        stage.permit = CallPermit::default();
        assert_eq!(freed.load(Ordering::SeqCst), 0, "the provider works");
        stage.provider.gate.notify_one();
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert_eq!(freed.load(Ordering::SeqCst), 0, "the charge is being written");
        stage.ledger.gate.notify_one();
        stage.charged(1).await;
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert_eq!(freed.load(Ordering::SeqCst), 1, "streamed: {stream}");
    }
}
