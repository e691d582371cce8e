//! A stop in good order: nobody is left without an ending, and nothing generated is lost.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, streamed_question, usdt},
    upstream::{Ending, Script},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_in_time_is_not_hurt_by_a_stop() {
    let app = App::start().await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    app.upstream.always(Script::tokens(10, 20).paced(20));
    let mut stream = tenant.caller.chat(&streamed_question("per-token")).stream().await;
    stream.next_json().await;
    let (rest, around) = tokio::join!(stream.rest(), app.stop());
    assert_eq!(rest.expect("an unbroken stream").last().unwrap(), "[DONE]");
    let app = App::over(around).await;
    let path = format!("/v1/orgs/{}/expenditure", tenant.org_id);
    let spent = tenant.owner.client.at(&app.base).get(&path).data().await;
    assert_eq!(
        usdt(&spent["expenditure_usdt"]),
        Usdt::from_nano(10 * 1_000 + 20 * 3_000)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_outlasts_the_patience_ends_with_an_error_and_is_charged() {
    let app = App::with(Setup::default().set("server.shutdown_seconds", 1)).await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    app.upstream
        .always(Script::tokens(10, 500).ending(Ending::PauseAfter(3)));
    let mut stream = tenant.caller.chat(&streamed_question("per-token")).stream().await;
    stream.next_json().await;
    let (rest, around) = tokio::join!(stream.rest(), app.stop());
    let rest = rest.expect("a stream that ends as streams do");
    assert!(rest.last().unwrap().contains("service_stopping"), "{rest:?}");
    assert!(!rest.contains(&"[DONE]".to_owned()));
    let app = App::over(around).await;
    let path = format!("/v1/orgs/{}/expenditure", tenant.org_id);
    let spent = tenant.owner.client.at(&app.base).get(&path).data().await;
    assert!(
        usdt(&spent["expenditure_usdt"]) > Usdt::ZERO,
        "what was generated is charged"
    );
}
