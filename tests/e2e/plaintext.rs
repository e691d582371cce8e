//! What creators seal is in no file, no line of the log and no answer to anybody but the caller whose
//! project uses it: whatever the calls come to, and when the program is killed in the middle of one.

mod traces;

use crate::{
    market::creator,
    selling::{sell, sell_updated},
};
use alloy::primitives::U256;
use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, RECEIVER, Setup, Surroundings, Tenant, on_sqlite},
    client::Answer,
    logs::Lines,
    made::{page, pdf},
    program::free_port,
    recorder::Recorder,
    tool_server::{Act, ToolServer},
    upstream::{Ending, Exchange, Script},
};
use serde_json::{Value, json};
use traces::{Marker, expect_none, files, nameless_files};

/// The public name of a product: what a search of the files does find.
const PUBLIC: &str = "public-name-of-a-product";

/// Calls every tool of ours once, then does as the question says, with everything it was shown.
fn model(exchange: &Exchange) -> Script {
    let request = exchange.json();
    let text = request.to_string();
    let told = |word: &str| text.contains(&format!("Please {word}"));
    let answered = text.contains("\"role\":\"tool\"");
    let tools = request["tools"].as_array().into_iter().flatten();
    let names: Vec<&str> = tools
        .filter_map(|tool| tool["function"]["name"].as_str())
        .collect();
    if !names.is_empty() && !answered {
        return Script::calls(names.into_iter().map(|name| (name, "{\"city\":\"Rome\"}")));
    }
    let error = || json!({"error": {"message": &text, "type": "invalid_request_error"}}).to_string();
    if told("be quiet") {
        Script::default()
    } else if told("refuse") {
        Script::status(400, &error())
    } else if told("fail") {
        Script::status(500, &error())
    } else if told("break off") {
        Script::text(text).ending(Ending::CloseAfter(20))
    } else if told("err") {
        Script::text(text).ending(Ending::ErrorAfter(20))
    } else if told("pause") {
        Script::text(text).ending(Ending::PauseAfter(20))
    } else {
        Script::text(text)
    }
}

fn ask(tenant: &Tenant, order: &str, streamed: bool) -> haithe_tests::client::Ask {
    let question = format!("What is said about lanterns, dams, tariffs and herons? Please {order}.");
    tenant
        .caller
        .chat(&json!({"model": "per-token", "stream": streamed, "messages": [{"role": "user", "content": question}]}))
}

/// Sells one product of each category, each with a marker; gives the markers that calls use.
async fn sell_all(app: &App, tenant: &Tenant, site: &Recorder, server: &Served) -> Vec<Marker> {
    let maker = creator(app, 7).await;
    let [prompt, text, html, csv, print, query, key, about] = [
        "a prompt",
        "a text",
        "a page",
        "a table",
        "a PDF",
        "an address",
        "a tool's header",
        "a tool's description",
    ]
    .map(Marker::new);
    let port = site.address().port();
    let tool = json!({"name": "weather", "description": format!("Tells the weather. {}", about.word),
        "method": "GET", "url": format!("http://{RECEIVER}:{port}/weather"), "headers": {"x-key": key.word},
        "parameters": [{"name": "city", "in": "query", "type": "string", "required": true}]});
    let served = json!({"url": format!("{}?token={}", server.at.url(), server.token.word),
        "headers": {"x-key": server.key}, "tools": ["tide"]});
    let contents: [(&str, &str, Vec<u8>); 8] = [
        (PUBLIC, "promptset", json!([format!("Say \"{}\" é", prompt.word)]).to_string().into()),
        ("lanterns", "knowledge:text", format!("The lanterns \"hang\" at é {}.", text.word).into()),
        (
            "dams",
            "knowledge:html",
            format!("<html><body><main><p>Dams hold water &amp; {}. They are old and many, and people walk on them.</p></main></body></html>", html.word)
                .into(),
        ),
        ("tariffs", "knowledge:csv", format!("kind,tariffs\nwool,\"{}\"\n", csv.word).into()),
        (
            "herons",
            "knowledge:pdf",
            pdf(&[("", page(&["Herons stand in water.", &print.word]))]),
        ),
        (
            "more herons",
            "knowledge:url",
            format!("http://{RECEIVER}:{port}/page?token={}", query.word).into(),
        ),
        ("weather", "tool:rpc", tool.to_string().into()),
        ("tides", "mcp", served.to_string().into()),
    ];
    for (name, category, content) in contents {
        sell(app, &maker, tenant, (name, category, U256::ZERO), &content).await;
    }
    vec![prompt, text, html, csv, print, query, key, about]
}

/// A server of tools, what lets its creator in, and what it says.
struct Served {
    at: ToolServer,
    key: &'static str,
    token: Marker,
    said: [Marker; 3],
    unoffered: Marker,
}

impl Served {
    async fn start() -> Self {
        let [about, field, answer, unoffered] = [
            "a served tool's description",
            "a served tool's schema",
            "a served tool's answer",
            "a served tool that is not offered",
        ]
        .map(Marker::new);
        // The server compares it for as long as the test runs.
        let key: &'static str = Marker::new("a server's header").word.leak();
        let tools = json!({"tools": [
            {"name": "tide", "description": format!("Tells \"the\" tide. {}", about.word),
                "inputSchema": {"type": "object", "properties": {"city": {"description": field.word}}}},
            {"name": unoffered.word, "inputSchema": {}},
        ]});
        let said = format!("é high water {}", answer.word);
        let at = ToolServer::acting(key, move |message| match message["method"].as_str()? {
            "tools/list" => Some(Act::Result(tools.clone())),
            "tools/call" => Some(Act::says(said.clone())),
            _ => None,
        })
        .await;
        Self {
            at,
            key,
            token: Marker::new("a server's address"),
            said: [about, field, answer],
            unoffered,
        }
    }

    /// What a call uses of it: what it says, and what lets its creator in.
    fn markers(&self) -> Vec<Marker> {
        let mut markers = self.said.to_vec();
        markers.push(self.token.clone());
        markers.push(Marker::of("a server's header", self.key));
        markers
    }
}

/// Every way in which a call uses what was sealed, whole and streamed.
async fn use_all(tenant: &Tenant, conversation: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    for streamed in [false, true] {
        for order in ["tell all", "be quiet", "refuse", "fail", "break off", "err"] {
            answers.extend(ask(tenant, order, streamed).try_send().await);
        }
        let again = format!("tell-{streamed}");
        for _ in 0..2 {
            let keyed = ask(tenant, "tell all", streamed).header("idempotency-key", &again);
            answers.push(keyed.send().await);
        }
        let remembered = ask(tenant, "be quiet", streamed).header("haithe-conversation", conversation);
        answers.push(remembered.send().await);
    }
    answers
}

/// Fails when anything below the folder of the database has a marker; the control is found.
fn expect_clean(around: &Surroundings, markers: &[Marker], expected: &[&str]) {
    let found = files(&around.dir());
    for name in expected {
        assert!(
            found.iter().any(|(path, _)| path.ends_with(name)),
            "{name} is looked at"
        );
    }
    let public = Marker::of("the control", PUBLIC);
    assert!(
        found.iter().any(|(_, bytes)| public.is_in(bytes)),
        "the control is found"
    );
    for (path, bytes) in &found {
        expect_none(markers, &path.display().to_string(), bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sealed_is_in_the_clear_nowhere_but_before_the_model_and_its_caller() {
    if !on_sqlite() {
        return;
    }
    let lines = Lines::default();
    // As the program filters its lines: it leaves out those of the library that repeats strangers.
    tracing_subscriber::fmt()
        .json()
        .with_env_filter("trace,rmcp=off")
        .with_writer(lines.clone())
        .init();
    let told = Marker::new("a tool's answer");
    let fetched = Marker::new("a fetched page");
    let broken = Marker::new("a broken prompt set");
    let (said, shown) = (told.word.clone(), fetched.word.clone());
    let site = Recorder::start(move |asked| match asked.target.starts_with("/page") {
        true => format!("<html><body><main><p>More herons: {shown}. They wade, and they fish, all day long.</p></main></body></html>"),
        false => format!("sunny {said}"),
    })
    .await;
    let server = Served::start().await;
    let setup = Setup {
        receivers: vec![site.address(), server.at.address()],
        ..Setup::default()
    };
    let app = App::with(setup).await;
    app.upstream.decide(model);
    let tenant = app.funded("Acme", Usdt::whole(20)).await;
    let rival = Tenant::found(&app.chain, app.wallet(2).await, "Rival").await;
    rival.deposit(&app.chain, Usdt::whole(1)).await;
    let mut markers = sell_all(&app, &tenant, &site, &server).await;
    markers.extend([told, fetched]);
    markers.extend(server.markers());
    tenant.change_project(json!({"memory_enabled": true})).await;
    let talk = tenant.caller.post("/v1beta/chat/conversations");
    let talk = talk.header("content-type", "application/json").data().await;
    let talk = talk["id"].to_string();

    let answers = use_all(&tenant, &talk).await;
    let mut others: Vec<Answer> = Vec::new();
    // All of it was used at all: the model was shown it, or the site.
    let mut shown = Vec::new();
    for exchange in app.upstream.exchanges() {
        shown.extend_from_slice(&exchange.body);
    }
    assert!(
        !server.unoffered.is_in(&shown),
        "the model is shown what is offered"
    );
    shown.extend(format!("{:?} {:?}", site.asked(), server.at.heard()).into_bytes());
    for marker in &markers {
        assert!(marker.is_in(&shown), "{} was used", marker.what);
    }
    markers.push(server.unoffered.clone());
    let heard: Vec<String> = answers.iter().map(Answer::text).collect();
    assert!(
        markers[0].is_in(heard.concat().as_bytes()),
        "the caller hears what the model says"
    );

    // One that cannot be read refuses the call, or is left out.
    let maker = app.wallet(7).await;
    let content = format!("[\"{}\", not JSON", broken.word);
    sell_updated(
        &app,
        &maker,
        &tenant,
        ("broken", "promptset", U256::ZERO),
        (br#"["Be kind."]"#, content.as_bytes()),
    )
    .await;
    markers.push(broken);
    for streamed in [false, true] {
        others.push(ask(&tenant, "tell all", streamed).send().await);
    }
    assert!(others.iter().all(|answer| answer.status == 422), "{others:?}");
    tenant
        .change_project(json!({"skip_unavailable_products": true}))
        .await;
    assert_eq!(ask(&tenant, "be quiet", false).send().await.status, 200);

    // What anybody else is told.
    for streamed in [false, true] {
        others.push(ask(&rival, "tell all", streamed).send().await);
    }
    let owner = &tenant.owner.client;
    for path in ["/v1/products", "/v1/creator", "/v1/stats"] {
        others.push(app.anonymous().get(path).send().await);
    }
    for path in [
        format!("/v1/projects/{}/products", tenant.project_id),
        format!("/v1/projects/{}/price-per-call", tenant.project_id),
        format!("/v1/orgs/{}/receipts", tenant.org_id),
    ] {
        others.push(owner.get(&path).send().await);
    }
    let talk = format!("/v1beta/chat/conversations/{talk}/messages");
    let remembered = tenant.caller.get(&talk).send().await;
    assert!(remembered.text().contains("herons"), "the question is remembered");
    others.push(remembered);
    for number in 1..=9 {
        others.push(
            maker
                .client
                .get(&format!("/v1/products/{number}/content"))
                .send()
                .await,
        );
        others.push(
            rival
                .owner
                .client
                .get(&format!("/v1/products/{number}"))
                .send()
                .await,
        );
    }
    for answer in &others {
        expect_none(&markers, "an answer to somebody else", &answer.body);
    }
    tenant.at_rest().await;
    let log = lines.take();
    assert!(
        log.contains("haithe::request") && log.contains("TRACE"),
        "the log is detailed"
    );
    expect_none(&markers, "the log", log.as_bytes());
    for bytes in nameless_files() {
        expect_none(&markers, "a file without a name", &bytes);
    }
    expect_clean(&app.around, &markers, &["haithe.db"]);

    let mut around = app.stop().await;
    expect_none(&markers, "the log", lines.take().as_bytes());
    expect_clean(&around, &markers, &["haithe.db"]);
    killed_and_started_again(&mut around, &tenant, &markers).await;
}

/// The same database under the program, which is killed while it streams, and started again.
async fn killed_and_started_again(around: &mut Surroundings, tenant: &Tenant, markers: &[Marker]) {
    around.set("log.filter", "trace");
    let server = around.serve(free_port()).await;
    let moved = tenant.at(&server.base);
    for order in ["tell all", "fail", "break off"] {
        let _ = ask(&moved, order, true).try_send().await;
    }
    let mut stream = ask(&moved, "pause", true).stream().await;
    stream.next_json().await;
    server.kill().await;
    let after_the_crash = ["haithe.db", "haithe.db-wal", "haithe.db-shm", "server.log"];
    expect_clean(around, markers, &after_the_crash);

    let server = around.serve(free_port()).await;
    let answer = ask(&tenant.at(&server.base), "be quiet", false).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let log = server.log();
    assert!(server.terminate().await.success());
    assert!(
        log.contains("TRACE") && log.contains("haithe::request"),
        "the log is detailed"
    );
    expect_clean(around, markers, &["haithe.db", "server.log"]);
    let told: Vec<Value> = around
        .upstream
        .exchanges()
        .iter()
        .map(|exchange| exchange.json())
        .collect();
    let last = told.last().expect("a request").to_string();
    assert!(
        markers[0].is_in(last.as_bytes()),
        "products were used after the start, too"
    );
}
