//! A thousand streams open at once: nobody's event is lost, doubled, out of order, or another's.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, models, streamed_question},
    upstream::{Ending, Script},
};
use serde_json::Value;

const STREAMS: usize = 1_000;
const EVENTS: u64 = 12;
/// All streams stand still here until every one of them is open.
const PAUSE: u64 = 4;

/// The text of a chunk's only choice.
fn word(event: &str) -> Option<String> {
    let chunk: Value = serde_json::from_str(event).expect("a whole event");
    let choice = &chunk["choices"][0];
    choice["delta"]["content"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_at_once_lose_and_reorder_nothing() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(100)).await;
    tenant.enable(models::PATIENT).await;
    let readers: Vec<_> = (0..STREAMS)
        .map(|number| {
            let caller = tenant.caller.clone();
            let mut body = streamed_question("patient");
            // The provider's number of input tokens comes back in usage: it tells the streams apart.
            let input = u64::try_from(number).unwrap();
            let script = Script::tokens(input, EVENTS).ending(Ending::PauseAfter(PAUSE));
            body["x_script"] = serde_json::to_value(script).unwrap();
            body["stream_options"] = serde_json::json!({"include_usage": true});
            tokio::spawn(async move {
                let mut stream = caller.chat(&body).stream().await;
                assert_eq!(stream.status, 200);
                let mut events = stream.rest().await.expect("an unbroken stream");
                assert_eq!(events.pop().as_deref(), Some("[DONE]"));
                let usage: Value = serde_json::from_str(&events.pop().unwrap()).unwrap();
                assert_eq!(usage["usage"]["prompt_tokens"], input);
                let words: Vec<String> = events.iter().filter_map(|event| word(event)).collect();
                let expected: Vec<String> = (0..EVENTS).map(|number| format!(" w{number}")).collect();
                assert_eq!(words, expected, "stream {number}");
            })
        })
        .collect();
    for number in 0..STREAMS {
        let exchange = app.upstream.exchange(number).await;
        exchange
            .until("its first events are sent", |metered| metered.output == PAUSE)
            .await;
    }
    assert!(tenant.balance().await.held > Usdt::ZERO, "all are under way");
    for exchange in app.upstream.exchanges() {
        exchange.resume();
    }
    for reader in readers {
        reader.await.unwrap();
    }
    let receipts = tenant.at_rest().await;
    assert_eq!(receipts.len(), STREAMS);
    let metered = app.upstream.metered();
    let due = i64::try_from(metered.input * 1_000 + metered.output * 3_000).unwrap();
    assert_eq!(tenant.expenditure().await, Usdt::from_nano(due));
    let around = app.stop().await;
    assert!(around.run(&["ledger", "check"], None).await.success());
}
