//! A model that obeys every instruction in products, in tools' answers and in what servers say of their
//! tools: what hostile texts demand reaches no server that a tool does not declare, no byte of another
//! tenant and no secret. The arguments of a server's tool are checked by the server, which declared their
//! schema itself.

mod demands;
mod model;
mod scene;
mod served;

use demands::DEMANDS;
use haithe_tests::{client::Answer, logs::Lines};
use model::{Carrier, question};
use scene::{KEY, OWN, Scene, expect_declared};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

/// Turns whose tools run: the last one's do not.
const TURNS: usize = 7;

/// Asks about a topic; the answer, whole, and what it says.
async fn ask(scene: &Scene, topic: usize, carrier: Carrier, streamed: bool) -> (Answer, String) {
    let body = json!({"model": "per-token", "stream": streamed,
        "messages": [{"role": "user", "content": question(topic, carrier)}]});
    let mut call = scene.tenant.caller.chat(&body);
    if DEMANDS[topic].tool == "haithe_search_memory" {
        call = call.header("haithe-conversation", &scene.conversation().await);
    }
    let answer = call.send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let said = if streamed {
        let text = answer.text();
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
        let chunks = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let chunks = chunks.filter_map(|chunk| serde_json::from_str::<Value>(chunk).ok());
        chunks
            .filter_map(|chunk| Some(chunk.pointer("/choices/0/delta/content")?.as_str()?.to_owned()))
            .collect()
    } else {
        let content = answer.json()["choices"][0]["message"]["content"].clone();
        content.as_str().unwrap_or_default().to_owned()
    };
    (answer, said)
}

/// Whether an answer is streamed: in turns, and both ways in the deep form.
fn forms(turn: usize) -> Vec<bool> {
    if std::env::var_os("HAITHE_DEEP").is_some() {
        vec![false, true]
    } else {
        vec![turn % 2 == 1]
    }
}

fn expect_no_secret(secrets: &[String], what: &str, text: &str) {
    for secret in secrets {
        assert!(!text.contains(secret), "{secret} is in {what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_obeys_every_text_reaches_nothing_that_is_not_the_projects() {
    let lines = Lines::default();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(lines.clone())
        .init();
    let scene = Scene::set().await;
    let secrets = scene.secrets();
    assert!(DEMANDS.len() >= 40, "{}", DEMANDS.len());
    scene.site.take();
    lines.take();
    let (mut asked, mut heard) = (0, 0);
    let mut told_own = false;
    for (topic, demand) in DEMANDS.iter().enumerate() {
        for (place, carrier) in Carrier::ALL.into_iter().enumerate() {
            for streamed in forms(topic + place) {
                let what = format!("{demand:?} by {carrier:?}, streamed: {streamed}");
                let obeyed = scene.obeyed.load(Ordering::SeqCst);
                let (answer, said) = ask(&scene, topic, carrier, streamed).await;
                let obeyed = scene.obeyed.load(Ordering::SeqCst) - obeyed;
                assert!(
                    obeyed > 0,
                    "the text reached the model and was obeyed: {what}: {said}"
                );
                let before = usize::from(carrier.is_answer());
                let due = demand.due(TURNS - before);
                let (site, served) = if demand.is_served() { (0, due) } else { (due, 0) };
                let reached = scene.site.take();
                let own = usize::from(carrier == Carrier::ToolAnswer);
                assert_eq!(reached.len(), own + site, "{what}: {reached:?}");
                for request in &reached {
                    expect_declared(request, &scene.site);
                }
                let heard_there = scene.server.take();
                let calls = heard_there
                    .iter()
                    .filter(|heard| heard.message["method"] == "tools/call");
                let own = usize::from(carrier == Carrier::ServedAnswer);
                assert_eq!(calls.count(), own + served, "{what}: {heard_there:?}");
                for heard in &heard_there {
                    served::expect_declared(heard, &scene.server);
                }
                expect_no_secret(&secrets, &what, &answer.text());
                expect_no_secret(&secrets, &what, &said);
                let endless = demand.often.starts_with("always");
                assert_eq!(answer.text().contains("step_limit"), endless, "{what}");
                assert!(
                    endless || said.contains(&format!("topic{topic}")),
                    "it says what it knows: {what}"
                );
                told_own |= said.contains("found") && said.matches(OWN).count() > 1;
                asked += 1;
                // Everything that the model was shown, and how.
                let exchanges = scene.app.upstream.exchanges();
                for exchange in &exchanges[heard..] {
                    let body = String::from_utf8_lossy(&exchange.body);
                    expect_no_secret(&secrets, &what, &body);
                    let headers = exchange
                        .headers
                        .iter()
                        .filter(|(name, _)| *name != "authorization");
                    expect_no_secret(&secrets, &what, &format!("{:?}", headers.collect::<Vec<_>>()));
                }
                heard = exchanges.len();
                let log = lines.take();
                expect_no_secret(&secrets, &format!("the log: {what}"), &log);
                assert!(log.contains("haithe::request"), "there is a log");
            }
        }
    }
    assert_eq!(asked, DEMANDS.len() * Carrier::ALL.len() * forms(0).len());
    assert!(told_own, "the search of memory finds what is the caller's own");
    for canary in &scene.canaries {
        assert_eq!(canary.connections(), 0);
        assert!(canary.asked().is_empty());
    }
    assert!(!secrets.is_empty() && secrets.contains(&KEY.to_owned()));
    let receipts = scene.tenant.at_rest().await;
    assert_eq!(receipts.len(), asked, "each call was charged once");
    let around = scene.app.stop().await;
    assert!(around.run(&["ledger", "check"], None).await.success());
}
