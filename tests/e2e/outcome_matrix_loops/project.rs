//! A project whose calls are loops, and what they cost it.

use crate::{market::creator, selling::sell};
use alloy::primitives::U256;
use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, RECEIVER, Setup, Tenant, models, usdt},
    client::Answer,
    recorder::Recorder,
    upstream::Script,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Prices per call of the products, in nano-USDT.
pub const PROMPTS: i64 = 3_000_000;
pub const TOOL: i64 = 5_000_000;

/// A project with a prompt set and a tool.
pub struct Project {
    pub app: App,
    pub tenant: Tenant,
    pub site: Recorder,
    prompts: i64,
    tool: i64,
    /// Receipts that were looked at.
    known: BTreeSet<String>,
}

impl Project {
    pub async fn set(setup: Setup) -> Self {
        let site = Recorder::start(|_| "sunny".to_owned()).await;
        let setup = Setup {
            receivers: vec![site.address()],
            ..setup
        };
        let app = App::with(setup).await;
        let maker = creator(&app, 7).await;
        let tenant = app.funded("Acme", Usdt::whole(5)).await;
        tenant.enable(models::PATIENT).await;
        let units = |nano: i64| U256::from(app.chain.units(Usdt::from_nano(nano)).get());
        let prompts = ("prompts", "promptset", units(PROMPTS));
        let prompts = sell(&app, &maker, &tenant, prompts, br#"["Be brief."]"#).await;
        let tool = json!({"name": "weather", "description": "Tells the weather.", "method": "GET",
            "url": format!("http://{RECEIVER}:{}/", site.address().port()),
            "parameters": [{"name": "city", "in": "query", "type": "string"}]});
        let content = tool.to_string();
        let tool = ("tool", "tool:rpc", units(TOOL));
        let tool = sell(&app, &maker, &tenant, tool, content.as_bytes()).await;
        Self {
            app,
            tenant,
            site,
            prompts,
            tool,
            known: BTreeSet::new(),
        }
    }

    /// A turn that calls the tool.
    pub fn call(&self) -> Script {
        Script::calls([(format!("p{}_weather", self.tool), "{\"city\":\"Rome\"}")]).of_input(17, 4)
    }

    /// What was charged since the last time, once nothing is held: nano-USDT, and the receipt's document.
    pub async fn charged(&mut self) -> Option<(i64, Value)> {
        let receipts = self.tenant.at_rest().await;
        let mut new = receipts
            .into_iter()
            .filter(|(call, _)| !self.known.contains(call));
        let (call, nano) = new.next()?;
        assert_eq!(new.next(), None, "one call has one receipt");
        let receipt = self.tenant.receipt(&call).await;
        assert_eq!(usdt(&receipt["charged_usdt"]).nano(), nano);
        let document: Value = match &receipt["document"] {
            Value::String(text) => serde_json::from_str(text).expect("JSON"),
            document => document.clone(),
        };
        self.known.insert(call);
        Some((nano, document))
    }

    /// What the receipt says is due to the creator of each product.
    pub fn fees(&self, document: &Value) -> (i64, i64) {
        let text = document.to_string();
        let fee = |product: i64, amount: i64| {
            let line = format!("{{\"amount_nano\":\"{amount}\",\"item\":\"product/{product}\",");
            let named = text.matches(&format!("\"product/{product}\"")).count();
            assert_eq!(named, text.matches(&line).count(), "{line} in {text}");
            assert!(named <= 1, "{text}");
            amount * i64::try_from(named).expect("one or none")
        };
        (fee(self.prompts, PROMPTS), fee(self.tool, TOOL))
    }

    /// No hold is left, and the books say what all calls said.
    pub async fn even(self, spent: i64) {
        self.tenant.at_rest().await;
        assert_eq!(self.tenant.expenditure().await, Usdt::from_nano(spent));
        let balance = self.tenant.balance().await;
        assert_eq!(balance.held, Usdt::ZERO);
        assert_eq!(balance.available.nano(), Usdt::whole(5).nano() - spent);
        let around = self.app.stop().await;
        assert!(around.run(&["ledger", "check"], None).await.success());
    }

    pub async fn ask(&self, model: &str, streamed: bool) -> Answer {
        self.tenant.caller.chat(&question(model, streamed)).send().await
    }
}

pub fn question(model: &str, streamed: bool) -> Value {
    json!({"model": model, "stream": streamed, "messages": [{"role": "user", "content": "Is it sunny?"}]})
}

/// What the caller heard of the answer.
pub fn heard(answer: &Answer, streamed: bool) -> String {
    if !streamed {
        let body = answer.json();
        return body["choices"][0]["message"]["content"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
    }
    let text = answer.text();
    let chunks = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let chunks = chunks.filter_map(|chunk| serde_json::from_str::<Value>(chunk).ok());
    chunks
        .filter_map(|chunk| Some(chunk.pointer("/choices/0/delta/content")?.as_str()?.to_owned()))
        .collect()
}
