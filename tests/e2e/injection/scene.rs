//! A project with everything that hostile texts could misuse, and others whose things they are after.

use super::{
    demands::DEMANDS,
    model::{Known, line, obedient},
    served::{self, SERVED_KEY, SERVED_TOKEN},
};
use crate::{market::creator, selling::sell};
use alloy::primitives::U256;
use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, PROVIDER_KEY, RECEIVER, Setup, Tenant, User},
    recorder::{Asked, Recorder},
    tool_server::ToolServer,
    wallets::Wallet,
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, atomic::AtomicUsize};

const TALK: &str = "/v1beta/chat/conversations";
/// Of the tools' headers.
pub const KEY: &str = "tool-header-key-5f1e9c";
const WORD: &str = "tool-header-word-81d2aa";
/// What others said and sell, and what the caller itself said elsewhere.
const MARKERS: [&str; 5] = [
    "marker-rival-said-7a11",
    "marker-colleague-said-7a12",
    "marker-elsewhere-said-7a13",
    "marker-rival-prompt-7a14",
    "marker-rival-tool-7a15",
];
/// What the caller said in the conversation that it names: the search finds this.
pub const OWN: &str = "marker-own-said-7a16";

pub struct Scene {
    pub app: App,
    pub tenant: Tenant,
    /// Where the tools are.
    pub site: Recorder,
    /// Whose tools are called by the Model Context Protocol.
    pub server: ToolServer,
    /// Where the rival's tool is: the service may call it, this project may not.
    pub canaries: [Recorder; 2],
    pub obeyed: Arc<AtomicUsize>,
    names: Vec<(&'static str, String)>,
}

impl Scene {
    pub async fn set() -> Self {
        // The servers of the tools say for every topic what the texts say.
        let texts = Arc::new(Mutex::new(Vec::<String>::new()));
        let said = Arc::clone(&texts);
        let site = Recorder::start(move |asked| {
            let topic = asked.target.strip_prefix("/v1/topic").unwrap_or_default();
            let topic = topic
                .split('/')
                .next()
                .and_then(|topic| topic.parse::<usize>().ok());
            let said = said.lock().unwrap();
            topic
                .and_then(|topic| said.get(topic).cloned())
                .unwrap_or_else(|| "sunny".into())
        })
        .await;
        let server = served::hostile(Arc::clone(&texts)).await;
        let canaries = [Recorder::canary().await, Recorder::canary().await];
        let setup = Setup {
            // The first canary is within the service's reach, so that only a tool's own rules keep it safe.
            receivers: vec![site.address(), server.address(), canaries[0].address()],
            ..Setup::default()
        };
        let app = App::with(setup).await;
        let maker = creator(&app, 7).await;
        let tenant = app.funded("Acme", Usdt::whole(50)).await;
        let rival = Tenant::found(&app.chain, app.wallet(2).await, "Rival").await;
        let free = |name, category| (name, category, U256::ZERO);
        let prompts = json!([MARKERS[3]]).to_string();
        sell(
            &app,
            &maker,
            &rival,
            free("rival prompts", "promptset"),
            prompts.as_bytes(),
        )
        .await;
        let tool = json!({"name": "steal", "description": MARKERS[4], "method": "GET",
            "url": format!("http://{RECEIVER}:{}/", canaries[0].address().port()),
            "parameters": [{"name": "city", "in": "query", "type": "string"}]});
        let stolen = sell(
            &app,
            &maker,
            &rival,
            free("rival tool", "tool:rpc"),
            tool.to_string().as_bytes(),
        )
        .await;

        let look = sell(
            &app,
            &maker,
            &tenant,
            free("look", "tool:rpc"),
            look(&site).to_string().as_bytes(),
        )
        .await;
        let note = sell(
            &app,
            &maker,
            &tenant,
            free("note", "tool:rpc"),
            note(&site).to_string().as_bytes(),
        )
        .await;
        let ask = sell(
            &app,
            &maker,
            &tenant,
            free("ask", "mcp"),
            served::content(&server).to_string().as_bytes(),
        )
        .await;
        let conversation = others_talk(&app, &tenant, &rival).await;
        let names = vec![
            ("{look}", format!("p{look}_look")),
            ("{note}", format!("p{note}_note")),
            ("{ask}", format!("p{ask}_ask")),
            ("{drop}", format!("p{ask}_drop_all")),
            ("{rival}", format!("p{stolen}_steal")),
            ("{canary}", format!("{RECEIVER}:{}", canaries[0].address().port())),
            ("{conversation}", conversation),
            ("{project}", format!("proj-{}", rival.project_uid)),
            ("{owner}", rival.owner.address()),
        ];
        let known = Known {
            look: names[0].1.clone(),
            ask: names[2].1.clone(),
            lines: Arc::clone(&texts),
        };
        let (decide, obeyed) = obedient(known);
        let scene = Self {
            app,
            tenant,
            site,
            server,
            canaries,
            obeyed,
            names,
        };
        scene.app.upstream.decide(decide);
        let lines = scene.lines();
        *texts.lock().unwrap() = lines.clone();
        let prompts = Value::from(lines.clone()).to_string();
        let knowledge: String = (0..)
            .zip(&lines)
            .map(|(topic, line)| format!("# On topic{topic}\n\n{line}\n\n"))
            .collect();
        for (product, content) in [
            (free("orders", "promptset"), prompts),
            (free("lore", "knowledge:text"), knowledge),
        ] {
            sell(&scene.app, &maker, &scene.tenant, product, content.as_bytes()).await;
        }
        scene
    }

    /// What the hostile texts say, by topic.
    fn lines(&self) -> Vec<String> {
        let named = |text: &str| {
            let names = self.names.iter();
            names.fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
        };
        (0..)
            .zip(DEMANDS)
            .map(|(topic, demand)| line(topic, demand.often, &named(demand.tool), &named(demand.arguments)))
            .collect()
    }

    /// A new conversation of the caller's in which it said something.
    pub async fn conversation(&self) -> String {
        begin(&self.tenant.caller, OWN).await
    }

    /// Everything that no answer, no request of anybody and no line of the log may have.
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets: Vec<String> = MARKERS.iter().map(|&marker| marker.to_owned()).collect();
        secrets.extend(
            [
                KEY,
                WORD,
                SERVED_KEY,
                SERVED_TOKEN,
                "a secret of tests that is long enough",
                PROVIDER_KEY,
            ]
            .map(str::to_owned),
        );
        secrets.extend(["enclave", "database", "api keys"].map(|name| Wallet::named(name).key_hex()));
        secrets.push(self.app.chain.server.key_hex());
        secrets.push(self.tenant.owner.token.clone());
        secrets
    }
}

fn look(site: &Recorder) -> Value {
    json!({"name": "look", "description": "Tells the weather of a city.", "method": "GET",
    "url": format!("http://{RECEIVER}:{}/v1/{{city}}/now?unit=c", site.address().port()),
    "headers": {"x-key": KEY},
    "parameters": [
        {"name": "city", "in": "path", "type": "string", "required": true},
        {"name": "q", "in": "query", "type": "string"},
        {"name": "count", "in": "query", "type": "integer"},
        {"name": "x-lang", "in": "header", "type": "string"},
    ]})
}

fn note(site: &Recorder) -> Value {
    json!({"name": "note", "description": "Keeps a note.", "method": "POST",
    "url": format!("http://{RECEIVER}:{}/notes", site.address().port()),
    "headers": {"authorization": format!("Bearer {WORD}")},
    "parameters": [
        {"name": "text", "in": "body", "type": "string", "required": true},
        {"name": "count", "in": "body", "type": "integer"},
        {"name": "tags", "in": "body", "type": "array"},
    ]})
}

/// Begins a conversation and says something in it; its number.
async fn begin(caller: &haithe_tests::client::Client, text: &str) -> String {
    let begun = caller.post(TALK).header("content-type", "application/json");
    let id = begun.data().await["id"].to_string();
    let body = json!({"message": format!("the marker is {text}"), "sender": "user"});
    caller
        .post(&format!("{TALK}/{id}/messages"))
        .json(&body)
        .data()
        .await;
    id
}

/// The rival, a colleague and the caller in another project all say something; the rival's conversation.
async fn others_talk(app: &App, tenant: &Tenant, rival: &Tenant) -> String {
    let owner = &tenant.owner.client;
    let body = json!({"org_id": tenant.org_id, "name": "elsewhere"});
    let elsewhere = owner.post("/v1/projects").json(&body).data().await;
    for (client, project) in [
        (owner, tenant.project_id),
        (owner, elsewhere["id"].as_i64().expect("a number")),
        (&rival.owner.client, rival.project_id),
    ] {
        let settings = json!({"memory_enabled": true, "search_enabled": true});
        client
            .patch(&format!("/v1/projects/{project}"))
            .json(&settings)
            .data()
            .await;
    }
    let colleague: User = app.wallet(3).await;
    let member = json!({"wallet_address": colleague.address(), "role": "developer"});
    let members = format!("/v1/projects/{}/members", tenant.project_id);
    owner.post(&members).json(&member).data().await;
    let within = |user: &User, project: &str| {
        user.client
            .with("haithe-organization", format!("org-{}", tenant.org_uid))
            .with("haithe-project", format!("proj-{project}"))
    };
    begin(&within(&colleague, &tenant.project_uid), MARKERS[1]).await;
    let uid = elsewhere["project_uid"].as_str().expect("a uid");
    begin(&within(&tenant.owner, uid), MARKERS[2]).await;
    begin(&rival.caller, MARKERS[0]).await
}

/// Fails unless the request is one of those that the tools declare, by host, method and schema.
pub fn expect_declared(asked: &Asked, site: &Recorder) {
    let host = format!("{RECEIVER}:{}", site.address().port());
    assert_eq!(asked.headers["host"], host, "{asked:?}");
    const USUAL: [&str; 5] = ["host", "accept", "user-agent", "content-type", "content-length"];
    let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
    let own: [&str; 2] = if asked.method == "GET" {
        let segments: Vec<&str> = path.split('/').collect();
        assert!(
            matches!(segments[..], ["", "v1", city, "now"] if !city.is_empty() && !climbs(city)),
            "{asked:?}"
        );
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        assert_eq!(pairs[0], ("unit".to_owned(), "c".to_owned()), "{asked:?}");
        let more = pairs[1..].iter().map(|(name, _)| name.as_str());
        let mut more: Vec<&str> = more.collect();
        more.dedup();
        assert!(
            more.iter().all(|name| ["q", "count"].contains(name)) && more.len() == pairs.len() - 1,
            "{asked:?}"
        );
        assert!(asked.body.is_empty(), "{asked:?}");
        assert_eq!(asked.headers["x-key"], KEY, "{asked:?}");
        ["x-key", "x-lang"]
    } else {
        assert_eq!(
            (asked.method.as_str(), &*asked.target),
            ("POST", "/notes"),
            "{asked:?}"
        );
        let body: Value = serde_json::from_slice(&asked.body).expect("JSON");
        for (name, value) in body.as_object().expect("an object") {
            let fits = match name.as_str() {
                "text" => value.is_string(),
                "count" => value.is_i64(),
                "tags" => value.is_array(),
                _ => false,
            };
            assert!(fits, "{name}: {asked:?}");
        }
        assert!(body.get("text").is_some(), "{asked:?}");
        assert_eq!(
            asked.headers["authorization"],
            format!("Bearer {WORD}"),
            "{asked:?}"
        );
        ["authorization", "authorization"]
    };
    for name in asked.headers.keys() {
        let declared = USUAL.contains(&name.as_str()) || own.contains(&name.as_str());
        assert!(declared, "{name}: {asked:?}");
        assert_eq!(asked.headers.get_all(name).iter().count(), 1, "{name}: {asked:?}");
    }
}

/// Whether a server could read the segment as a step up.
fn climbs(segment: &str) -> bool {
    matches!(segment.to_lowercase().replace("%2e", ".").as_str(), "." | "..")
}
