//! The service, and one caller of every kind.

use crate::table::{PRINCIPALS, Principal};
use alloy::primitives::U256;
use haithe_kernel::{FixedClock, Timestamp, Usdt};
use haithe_tests::{
    app::{App, Setup, Tenant, User, question},
    client::Client,
    wallets::Wallet,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Mutex;

/// More than a session lives.
const SESSION_AND_MORE: Duration = Duration::from_secs(4 * 86_400);

/// Everything the rows are played on.
pub struct World {
    pub app: App,
    /// The service's time, which stands still, in seconds since 1970.
    pub now: i64,
    /// The tenant that the roles are in.
    pub own: Tenant,
    /// A tenant of somebody else, who is none of the callers.
    pub foreign: Tenant,
    /// Like `own` with the same people, to be deleted.
    pub doomed: Tenant,
    /// A call of each tenant's project.
    pub own_call: String,
    pub foreign_call: String,
    /// A product of the creator, which both tenants' contracts accept.
    pub product: i64,
    /// The uid of a public project whose organization is neither tenant.
    pub public_project: String,
    callers: BTreeMap<Principal, Caller>,
    counter: AtomicU64,
}

/// One of the callers.
#[derive(Clone)]
pub struct Caller {
    pub client: Client,
    /// The wallet, where there is one that can log in again.
    pub user: Option<User>,
}

impl World {
    pub async fn prepare() -> Self {
        let now = Timestamp::from_seconds(time::OffsetDateTime::now_utc().unix_timestamp());
        let span = i64::try_from(SESSION_AND_MORE.as_micros()).unwrap();
        let clock = Arc::new(FixedClock::at(Timestamp::from_micros(now.micros() - span)));
        let setup = Setup {
            clock: Some(Arc::clone(&clock)),
            ..Setup::default()
        };
        // Every cell makes one of its own.
        let setup = setup.set("webhooks.max_per_project", 10_000);
        let app = App::with(setup.set("chain.faucet", true)).await;
        app.chain.fill_faucet(Usdt::whole(100_000)).await;
        let expired = log_in(&app, "expired").await;
        clock.advance(SESSION_AND_MORE);

        let own = tenant(&app, "owner", "Own").await;
        let foreign = tenant(&app, "somebody else", "Foreign").await;
        let doomed = tenant(&app, "owner", "Doomed").await;
        let elsewhere = tenant(&app, "owner elsewhere", "Elsewhere").await;
        elsewhere.change_project(json!({"public": true})).await;
        let own_call = call(&own).await;
        let foreign_call = call(&foreign).await;

        let mut callers = BTreeMap::new();
        for who in PRINCIPALS {
            let caller = match who {
                Principal::Anonymous => nobody(app.anonymous().bearer("null")),
                Principal::Expired => nobody(expired.client.clone()),
                Principal::Revoked => {
                    let user = log_in(&app, "revoked").await;
                    user.client.post("/v1/auth/logout").data().await;
                    nobody(user.client)
                }
                Principal::ScopedKey => nobody(key_of(&app, &own, "keeper", true).await),
                Principal::RemovedKey => nobody(key_of(&app, &own, "removed", false).await),
                Principal::Owner => wallet(own.owner.clone()),
                _ => wallet(log_in(&app, name(who)).await),
            };
            callers.insert(who, caller);
        }
        let creator = callers[&Principal::Creator].user.clone().expect("a wallet");
        let product = publish(&app, &creator, &[&own, &foreign]).await;
        let world = Self {
            now: now.seconds(),
            product,
            public_project: elsewhere.project_uid,
            own,
            foreign,
            doomed,
            own_call,
            foreign_call,
            callers,
            counter: AtomicU64::new(0),
            app,
        };
        world.give_roles(&world.own, world.own.project_id).await;
        world.give_roles(&world.doomed, world.doomed.project_id).await;
        world
    }

    /// Makes the callers what they are called, in an organization and one of its projects.
    async fn give_roles(&self, tenant: &Tenant, project: i64) {
        let members = format!("/v1/orgs/{}/members", tenant.org_id);
        for (who, role) in [(Principal::OrgAdmin, "admin"), (Principal::OrgMember, "member")] {
            add(tenant, &members, &self.address(who), role).await;
        }
        self.give_project_roles(tenant, project).await;
    }

    /// The same in a project alone.
    pub async fn give_project_roles(&self, tenant: &Tenant, project: i64) {
        let members = format!("/v1/projects/{project}/members");
        for (who, role) in [
            (Principal::ProjectAdmin, "admin"),
            (Principal::Developer, "developer"),
            (Principal::Viewer, "viewer"),
        ] {
            add(tenant, &members, &self.address(who), role).await;
        }
    }

    pub fn caller(&self, who: Principal) -> &Caller {
        &self.callers[&who]
    }

    /// The address of a caller that is a wallet.
    pub fn address(&self, who: Principal) -> String {
        let user = self.callers[&who].user.as_ref();
        user.expect("a wallet").address()
    }

    /// A number that was not given before.
    pub fn number(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// An address that nobody has seen.
    pub fn somebody(&self) -> String {
        format!("0x{:040x}", 0xa000_0000_u64 + self.number())
    }
}

/// Makes the wallet a creator and publishes a product that these tenants accept; gives its number.
async fn publish(app: &App, creator: &User, tenants: &[&Tenant]) -> i64 {
    let body = json!({"uri": "https://creator.example", "pub_key": "04ab"});
    creator.client.post("/v1/creator").json(&body).data().await;
    let price = U256::from(10u64).pow(U256::from(18u64));
    let contract = app
        .chain
        .add_product(&creator.wallet, "facts", "knowledge:text", price)
        .await;
    for tenant in tenants {
        app.chain
            .enable_product(&tenant.owner.wallet, tenant.contract, contract, price)
            .await;
    }
    haithe_tests::eventually("the product is indexed", async || {
        let synced = creator.client.post("/v1/products").data().await;
        synced["product"]["id"].as_i64()
    })
    .await
}

fn name(who: Principal) -> &'static str {
    match who {
        Principal::OwnerElsewhere => "owner elsewhere",
        Principal::Stranger => "stranger",
        Principal::Creator => "creator",
        Principal::Viewer => "viewer",
        Principal::Developer => "developer",
        Principal::ProjectAdmin => "project admin",
        Principal::OrgMember => "org member",
        Principal::OrgAdmin => "org admin",
        other => panic!("{other:?} has no wallet of its own"),
    }
}

fn nobody(client: Client) -> Caller {
    Caller { client, user: None }
}

fn wallet(user: User) -> Caller {
    Caller {
        client: user.client.clone(),
        user: Some(user),
    }
}

pub async fn log_in(app: &App, name: &str) -> User {
    log_in_wallet(app, Wallet::named(name)).await
}

/// One after the other: of four challenges of one wallet at once the first makes way.
pub async fn log_in_wallet(app: &App, wallet: Wallet) -> User {
    static TURN: Mutex<()> = Mutex::const_new(());
    let _turn = TURN.lock().await;
    User::log_in(&app.anonymous(), wallet).await
}

async fn tenant(app: &App, owner: &str, name: &str) -> Tenant {
    let tenant = Tenant::found(&app.chain, log_in(app, owner).await, name).await;
    tenant.enable(haithe_tests::app::models::VECTORS).await;
    tenant.deposit(&app.chain, Usdt::whole(10)).await;
    tenant
}

/// Makes a call; gives its number.
async fn call(tenant: &Tenant) -> String {
    let answer = tenant.caller.chat(&question("per-call")).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let receipts = tenant.at_rest().await;
    receipts.into_keys().next().expect("a receipt")
}

async fn add(tenant: &Tenant, members: &str, address: &str, role: &str) -> Value {
    let body = json!({"wallet_address": address, "role": role});
    tenant.owner.client.post(members).json(&body).data().await
}

/// The key of a developer, who stays one or does not.
async fn key_of(app: &App, tenant: &Tenant, name: &str, stays: bool) -> Client {
    let user = log_in(app, name).await;
    let members = format!("/v1/projects/{}/members", tenant.project_id);
    add(tenant, &members, &user.address(), "developer").await;
    let body = json!({"name": "a key", "project_id": tenant.project_id});
    let key = user.client.post("/v1/me/api-keys").json(&body).data().await;
    if !stays {
        let body = json!({"wallet_address": user.address()});
        tenant.owner.client.delete(&members).json(&body).data().await;
    }
    app.anonymous().bearer(key["api_key"].as_str().expect("a key"))
}
