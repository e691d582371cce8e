//! Those who call the service: wallets with sessions, and organizations with money.

use super::models;
use crate::{chain::Chain, client::Client, eventually, wallets::Wallet};
use alloy::primitives::Address;
use haithe_kernel::Usdt;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A wallet with a session.
#[derive(Debug, Clone)]
pub struct User {
    /// Its keys.
    pub wallet: Wallet,
    /// Speaks with its session token.
    pub client: Client,
    /// The token.
    pub token: String,
}

impl User {
    /// Logs the wallet in as the existing frontend does.
    pub async fn log_in(anonymous: &Client, wallet: Wallet) -> Self {
        let address = wallet.address().to_string();
        let challenge = anonymous
            .get("/v1/auth/nonce")
            .query(&[("address", &address)])
            .data()
            .await;
        let text = challenge["nonce"].as_str().expect("a text to sign");
        let signature = wallet.sign(text);
        let login = anonymous.post("/v1/auth/login");
        let login = login
            .query(&[("address", &address), ("signature", &signature)])
            .data()
            .await;
        let token = login["token"].as_str().expect("a token").to_owned();
        Self {
            wallet,
            client: anonymous.bearer(&token),
            token,
        }
    }

    /// Its address, lower case.
    pub fn address(&self) -> String {
        self.wallet.wallet_address().to_string()
    }
}

/// An organization with a project, its owner, and a caller of models on its account.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Tenant {
    pub owner: User,
    pub org_id: i64,
    pub org_uid: String,
    pub contract: Address,
    pub project_id: i64,
    pub project_uid: String,
    /// The owner's session with the context headers.
    pub caller: Client,
}

impl Tenant {
    /// Founds an organization by the owner's own transaction, then everything else over REST.
    pub async fn found(chain: &Chain, owner: User, name: &str) -> Self {
        let contract = chain.create_organization(&owner.wallet, name).await;
        let org = owner.client.post("/v1/orgs").data().await;
        assert_eq!(org["address"], contract.to_string().to_lowercase());
        let org_id = org["id"].as_i64().expect("a number");
        let org_uid = org["organization_uid"].as_str().expect("a uid").to_owned();
        for (model, _) in models::USUAL {
            let enable = owner.client.post(&format!("/v1/orgs/{org_id}/models"));
            enable.query(&[("model_id", &model.to_string())]).data().await;
        }
        let body = json!({"org_id": org_id, "name": "agent"});
        let project = owner.client.post("/v1/projects").json(&body).data().await;
        let project_uid = project["project_uid"].as_str().expect("a uid").to_owned();
        Self {
            caller: owner
                .client
                .with("haithe-organization", format!("org-{org_uid}"))
                .with("haithe-project", format!("proj-{project_uid}")),
            project_id: project["id"].as_i64().expect("a number"),
            owner,
            org_id,
            org_uid,
            contract,
            project_uid,
        }
    }

    /// The owner announces a withdrawal of one base unit, unless one is open, and its delay passes.
    pub async fn announce_withdrawal(&self, chain: &Chain) {
        let path = format!("/v1/orgs/{}/withdrawals", self.org_id);
        let owner = &self.owner;
        let asked = owner
            .client
            .post(&path)
            .json(&json!({"amount": 1, "confirm_small": true}))
            .send()
            .await;
        if asked.status.is_success() {
            chain.sign(&owner.wallet, &asked.data()["transaction"]).await;
            chain.dev.advance_time(86_400);
            chain.dev.mine(1);
        }
        eventually("the withdrawal can be executed", async || {
            let all = owner.client.get(&path).data().await;
            (all[0]["state"] == "executable").then_some(())
        })
        .await;
    }

    /// Enables one more model.
    pub async fn enable(&self, (model, _): (i64, &str)) {
        let enable = self
            .owner
            .client
            .post(&format!("/v1/orgs/{}/models", self.org_id));
        enable.query(&[("model_id", &model.to_string())]).data().await;
    }

    /// Changes settings of its project; what the project is then.
    pub async fn change_project(&self, change: Value) -> Value {
        let project = format!("/v1/projects/{}", self.project_id);
        self.owner.client.patch(&project).json(&change).data().await
    }

    /// Makes its project public at this price per call; the price applies at once while nobody accepted it.
    pub async fn publish(&self, price: Usdt) -> Value {
        let body = json!({"public": true, "price_per_call_usdt": price.to_string()});
        self.change_project(body).await
    }

    /// Accepts another tenant's public project up to this price per call.
    pub async fn accept(&self, other: &Self, maximum: Usdt) -> Value {
        let path = format!("/v1/orgs/{}/accepted-projects/{}", self.org_id, other.project_uid);
        let body = json!({"max_price_per_call_usdt": maximum.to_string()});
        self.owner.client.put(&path).json(&body).data().await
    }

    /// The owner's session, calling another tenant's project on this organization's account.
    pub fn calling(&self, other: &Self) -> Client {
        self.owner
            .client
            .with("haithe-organization", format!("org-{}", self.org_uid))
            .with("haithe-project", format!("proj-{}", other.project_uid))
    }

    /// The same tenant at another server over the same database.
    #[must_use]
    pub fn at(&self, base: &str) -> Self {
        let mut moved = self.clone();
        moved.caller = self.caller.at(base);
        moved.owner.client = self.owner.client.at(base);
        moved
    }

    /// Deposits and waits until the balance shows it.
    pub async fn deposit(&self, chain: &Chain, amount: Usdt) {
        let before = self.money(&self.owner.client).await.available;
        chain.deposit(self.contract, amount).await;
        crate::eventually("the deposit can be spent", async || {
            let now = self.money(&self.owner.client).await.available;
            (now.nano() == before.nano() + amount.nano()).then_some(())
        })
        .await;
    }

    /// The organization's balance as the owner reads it.
    pub async fn money(&self, reader: &Client) -> Money {
        let balance = reader
            .get(&format!("/v1/orgs/{}/balance", self.org_id))
            .data()
            .await;
        Money::of(&balance)
    }

    /// The organization's balance.
    pub async fn balance(&self) -> Money {
        self.money(&self.owner.client).await
    }

    /// Everything captured, all time.
    pub async fn expenditure(&self) -> Usdt {
        let path = format!("/v1/orgs/{}/expenditure", self.org_id);
        let expenditure = self.owner.client.get(&path).data().await;
        usdt(&expenditure["expenditure_usdt"])
    }

    /// A new API key with this body beside its name.
    pub async fn api_key(&self, mut body: Value) -> String {
        body["name"] = json!("a key");
        let key = self.owner.client.post("/v1/me/api-keys").json(&body).data().await;
        key["api_key"].as_str().expect("a key").to_owned()
    }

    /// A key scoped to the project.
    pub async fn project_key(&self) -> String {
        self.api_key(json!({"project_id": self.project_id})).await
    }

    /// The receipt of a call, as the owner reads it. One that is on its way to disk is waited for.
    pub async fn receipt(&self, call: &str) -> Value {
        let path = format!("/v1/receipts/{call}");
        crate::eventually(&format!("the receipt of {call} is written"), async || {
            let answer = self.owner.client.get(&path).send().await;
            answer.status.is_success().then(|| answer.data())
        })
        .await
    }

    /// Every receipt of the organization: nano-USDT charged, by call.
    pub async fn receipts(&self) -> BTreeMap<String, i64> {
        let path = format!("/v1/orgs/{}/receipts", self.org_id);
        let mut all = BTreeMap::new();
        let mut after = None::<String>;
        loop {
            let mut query = vec![("limit", "200")];
            query.extend(after.as_deref().map(|after| ("after", after)));
            let page = self.owner.client.get(&path).query(&query).data().await;
            let page = page.as_array().expect("a list");
            for receipt in page {
                let call = receipt["id"].as_str().expect("an id").to_owned();
                let twice = all.insert(call.clone(), usdt(&receipt["charged_usdt"]).nano());
                assert_eq!(twice, None, "{call} has two receipts");
                after = Some(call);
            }
            if page.len() < 200 {
                return all;
            }
        }
    }

    /// Waits until no money is held and every charge is on disk; gives the receipts.
    pub async fn at_rest(&self) -> BTreeMap<String, i64> {
        crate::eventually("every hold is gone and every charge written", async || {
            if self.balance().await.held != Usdt::ZERO {
                return None;
            }
            let receipts = self.receipts().await;
            let sum: i64 = receipts.values().sum();
            (sum == self.expenditure().await.nano()).then_some(receipts)
        })
        .await
    }
}

/// An organization's balance, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the wire's names")]
pub struct Money {
    pub balance: Usdt,
    pub available: Usdt,
    pub held: Usdt,
    pub unsettled: Usdt,
    pub onchain: Usdt,
    pub pending_withdrawal: Usdt,
}

impl Money {
    fn of(balance: &Value) -> Self {
        Self {
            balance: usdt(&balance["balance_usdt"]),
            available: usdt(&balance["available_usdt"]),
            held: usdt(&balance["held_usdt"]),
            unsettled: usdt(&balance["unsettled_usdt"]),
            onchain: usdt(&balance["onchain_usdt"]),
            pending_withdrawal: usdt(&balance["pending_withdrawal_usdt"]),
        }
    }
}

/// An exact amount on the wire.
pub fn usdt(value: &Value) -> Usdt {
    let text = value
        .as_str()
        .unwrap_or_else(|| panic!("an exact amount in quotes, not {value}"));
    text.parse().unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The smallest chat request of a model.
pub fn question(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hello"}]})
}

/// The same as a stream.
pub fn streamed_question(model: &str) -> Value {
    json!({"model": model, "stream": true, "messages": [{"role": "user", "content": "hello"}]})
}
