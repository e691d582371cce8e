//! Knowledge that answers a question without a word of it: found with an embedder, which the caller
//! does not pay and never waits for in vain.

use crate::{
    market::{creator, whole},
    selling::{sell, texts},
};
use haithe_kernel::Usdt;
use haithe_server::{App as Service, Overrides, config::Config};
use haithe_tests::{
    app::{App, PROVIDER_KEY, Setup, Surroundings, Tenant, question},
    client::Client,
    program::free_port,
    upstream::{Exchange, Script},
};
use serde_json::{Value, json};
use std::sync::Arc;

const MANUAL: &str =
    "# Lamps\n\nThe bulb glows amber at dusk.\n\n# Impellers\n\nLiquid is raised by vane seven.\n";
const FACT: &str = "Liquid is raised by vane seven.";
const ASKED: &str = "How does water get upstairs?";
const MODEL: &str = "the-provider-s-vectors";

/// Two senses: what is about water, and all else.
fn vectors(exchange: &Exchange) -> Script {
    Script::vectors(&exchange.json(), |text| {
        let wet = ["water", "Liquid"].iter().any(|word| text.contains(word));
        if wet { vec![1.0, 0.0] } else { vec![0.0, 1.0] }
    })
}

fn is_embedding(exchange: &Exchange) -> bool {
    exchange.path.ends_with("/embeddings")
}

struct Scene {
    app: App,
    tenant: Tenant,
}

impl Scene {
    /// A project with the manual, and a provider that makes vectors.
    async fn with(setup: Setup) -> Self {
        let app = App::with(setup).await;
        let maker = creator(&app, 7).await;
        let tenant = app.funded("Acme", Usdt::whole(20)).await;
        let manual = ("manual", "knowledge:text", whole(1));
        sell(&app, &maker, &tenant, manual, MANUAL.as_bytes()).await;
        app.upstream.decide(|exchange| {
            if is_embedding(exchange) {
                vectors(exchange)
            } else {
                Script::default()
            }
        });
        Self { app, tenant }
    }

    /// Asks; gives what the model was shown beside the question, and the answer's own account of it.
    async fn ask(&self, text: &str) -> (String, Value) {
        let mut ask = question("per-call");
        ask["messages"] = json!([{"role": "user", "content": text}]);
        let answer = self.tenant.caller.chat(&ask).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let all = self.app.upstream.exchanges();
        let last = all.iter().rfind(|exchange| !is_embedding(exchange));
        let last = last.expect("a call of the model").json();
        let shown = texts(&last, "user");
        let data = shown.iter().filter(|text| **text != ASKED).copied().collect();
        (data, answer.json()["haithe"].clone())
    }

    fn embeddings(&self) -> Vec<Arc<Exchange>> {
        let mut all = self.app.upstream.exchanges();
        all.retain(|exchange| is_embedding(exchange));
        all
    }

    /// What every call was charged, in nano-USDT.
    async fn charges(&self) -> Vec<i64> {
        self.tenant.at_rest().await.into_values().collect()
    }
}

fn embedding() -> Setup {
    Setup::default()
        .set("embeddings.provider", "test")
        .set("embeddings.model", MODEL)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_shares_no_word_with_the_question_is_found_with_vectors_at_the_same_charge() {
    let words = Scene::with(Setup::default()).await;
    let (data, about) = words.ask(ASKED).await;
    assert!(!data.contains(FACT), "{data}");
    assert_eq!(about["sources"], json!([]), "{about}");
    assert_eq!(words.embeddings().len(), 0, "off unless a provider is named");

    let sense = Scene::with(embedding()).await;
    let (data, about) = sense.ask(ASKED).await;
    assert!(data.contains(FACT), "{data}");
    assert_eq!(about["sources"][0]["locator"], "“Impellers”", "{about}");
    let [document, asked] = &sense.embeddings()[..] else {
        panic!("one request for the document, one for the question");
    };
    assert_eq!(document.json()["model"], MODEL);
    assert_eq!(
        document.json()["input"].as_array().expect("a list").len(),
        2,
        "both pieces"
    );
    assert_eq!(asked.json()["input"], json!([ASKED]));
    assert_eq!(
        asked.header("authorization"),
        Some(format!("Bearer {PROVIDER_KEY}").as_str())
    );
    sense.ask(ASKED).await;
    assert_eq!(sense.embeddings().len(), 3, "the document is embedded once");

    let paid = words.charges().await;
    assert_eq!(paid, [Usdt::from_nano(1_100_000_000).nano()]);
    assert_eq!(sense.charges().await, [paid[0], paid[0]]);
}

/// The figure's value for this outcome.
async fn counted(metrics: &str, outcome: &str) -> u64 {
    let shown = Client::new(format!("http://{metrics}"));
    let text = shown.get("//metrics").send().await.text();
    let series = format!("haithe_embedder_total{{outcome=\"{outcome}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(series.as_str()));
    line.expect("the figure is shown").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedder_that_dies_leaves_the_words_and_the_answer_and_is_counted() {
    let metrics = format!("127.0.0.1:{}", free_port());
    let setup = embedding()
        .set("metrics.address", metrics.clone())
        .set("embeddings.timeout_seconds", 1);
    let scene = Scene::with(setup).await;
    let (data, _) = scene.ask(ASKED).await;
    assert!(data.contains(FACT), "{data}");
    assert_eq!(counted(&metrics, "answered").await, 2);
    assert_eq!(counted(&metrics, "unavailable").await, 0);

    scene.app.upstream.decide(|exchange| {
        if is_embedding(exchange) {
            Script::hang()
        } else {
            Script::default()
        }
    });
    for _ in 0..3 {
        let (data, _) = scene.ask(ASKED).await;
        assert!(!data.contains(FACT), "{data}");
        let (data, about) = scene.ask("Where is vane seven?").await;
        assert!(data.contains(FACT), "{data}");
        assert_eq!(about["sources"][0]["locator"], "“Impellers”", "{about}");
    }
    assert_eq!(scene.embeddings().len(), 3, "it is left alone for a while");
    assert_eq!(counted(&metrics, "unavailable").await, 1);
    assert_eq!(scene.charges().await, vec![1_100_000_000; 7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_the_embedder_refuses_is_answered_from_by_its_words() {
    let metrics = format!("127.0.0.1:{}", free_port());
    let scene = Scene::with(embedding().set("metrics.address", metrics.clone())).await;
    scene.app.upstream.decide(|exchange| {
        if is_embedding(exchange) {
            Script::status(400, r#"{"error":{"message":"This model does not take that."}}"#)
        } else {
            Script::default()
        }
    });
    for _ in 0..2 {
        let (data, _) = scene.ask("Where is vane seven?").await;
        assert!(data.contains(FACT), "{data}");
    }
    assert_eq!(
        scene.embeddings().len(),
        1,
        "given up for now, and so is its question"
    );
    assert_eq!(counted(&metrics, "refused").await, 1);
    assert_eq!(scene.charges().await, vec![1_100_000_000; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_cannot_embed_stops_the_start_and_the_check_and_is_named() {
    let mut around = Surroundings::prepare(Setup::default()).await;
    around.set("embeddings.model", MODEL);
    for (provider, problem) in [
        ("nobody", "the catalogue has no provider \"nobody\""),
        ("keyless", "the provider \"keyless\" is not in use"),
        ("sandbox", "the provider \"sandbox\" makes no embeddings"),
    ] {
        around.set("embeddings.provider", provider);
        let config = Config::load(around.sources()).expect("well-formed settings");
        let refused = Service::start_with(config, Overrides::default()).await;
        let refused = refused.err().expect("no start").to_string();
        let checked = around.run(&["config", "check"], None).await;
        assert!(!checked.success());
        for told in [refused, checked.stderr] {
            assert!(
                told.contains("embeddings.provider") && told.contains(problem),
                "{told}"
            );
        }
    }
    around.set("embeddings.provider", "test");
    assert!(around.run(&["config", "check"], None).await.success());
}
