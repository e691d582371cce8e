//! Creators, products and who uses them.

use super::auth::newcomer;
use crate::{
    row::{Given, NO_NUMBER, Row, Stage, of},
    table::{Action::*, Object, Principal, Rule},
};
use haithe_tests::{app::User, client::Client, eventually, sealed::Sealed};
use serde_json::json;

pub fn rows() -> Vec<Row> {
    vec![
        Row::new("GET /api/v1/stats", Rule::Public),
        Row::new("POST /api/v1/auth/waitlist", Rule::Public)
            .body(|stage| json!({"email": format!("{}@example.com", stage.world.number())})),
        Row::new("GET /api/v1/creator", Rule::Public),
        Row::new("GET /api/v1/creator/{address}", Rule::PublicThing)
            .given(async |stage| Given::id(creator(&stage))),
        Row::new("GET /api/v1/creator/{address}/products", Rule::PublicThing)
            .given(async |stage| Given::id(creator(&stage))),
        Row::new("GET /api/v1/creator/{address}/statistics", Rule::PublicThing)
            .given(async |stage| Given::id(creator(&stage))),
        Row::new("GET /api/v1/creator/{address}/earnings", Rule::Mine)
            .given(async |stage| Given::id(mine(&stage))),
        Row::new("GET /api/v1/creator/{address}/payout-address", Rule::Mine)
            .given(async |stage| Given::id(mine(&stage))),
        Row::new("POST /api/v1/creator/{address}/payout-address", Rule::Mine).given(async |stage| {
            let caller = stage.world.caller(stage.who);
            if caller.user.is_some() {
                register(&caller.client).await;
            }
            Given::id(mine(&stage)).and_body(json!({"payout_address": stage.world.somebody()}))
        }),
        Row::new("DELETE /api/v1/creator/{address}/payout-address", Rule::Mine).given(async |stage| {
            if stage.object == Object::Own
                && let Some(user) = &stage.world.caller(stage.who).user
            {
                announce_payout(&stage, user);
            }
            Given::id(mine(&stage))
        }),
        Row::new("POST /api/v1/creator/transaction", Rule::Session).given(async |stage| Given {
            client: match stage.who {
                Principal::Creator => Some(newcomer(&stage).await.client),
                _ => None,
            },
            ..Given::body(json!({"uri": "https://creator.example", "pub_key": "04ab"}))
        }),
        Row::new("POST /api/v1/creator", Rule::Session)
            .given(async |stage| Given {
                // A creator cannot become one again: a new wallet asks instead of those that may be
                // creators already, as hosts of content.
                client: match stage.world.caller(stage.who).user {
                    Some(_) => Some(newcomer(&stage).await.client),
                    None => None,
                },
                ..Given::body(json!({"uri": "https://creator.example", "pub_key": "04ab"}))
            })
            // It waits for a block, three seconds at most.
            .alone(),
        Row::new("GET /api/v1/products", Rule::Public),
        Row::new("POST /api/v1/products", Rule::Session),
        Row::new("GET /api/v1/products/{id}", Rule::PublicThing)
            .given(async |stage| Given::id(product(&stage))),
        Row::new("PATCH /api/v1/products/{id}", Rule::Creators)
            .given(async |stage| Given::id(product(&stage)).and_body(json!({"description": "Facts."}))),
        Row::new("GET /api/v1/products/{id}/content", Rule::Creators)
            .given(async |stage| Given::id(product(&stage))),
        Row::new("POST /api/v1/products/check", Rule::Session)
            .body(|_| json!({"category": "promptset", "uri": "x", "encrypted_key": "00"})),
        Row::new("PUT /api/v1/content", Rule::Session).given(async |stage| {
            let caller = stage.world.caller(stage.who);
            if caller.user.is_some() {
                register(&caller.client).await;
            }
            Given {
                bytes: Some(Sealed::anything(10)),
                ..Given::default()
            }
        }),
        Row::new("GET /api/v1/content/{sha256}", Rule::PublicThing).given(async |stage| {
            let holder = match stage.object {
                Object::Own | Object::Nothing => Some(stage.world.caller(Principal::Creator).client.clone()),
                Object::Foreign | Object::Missing => None,
            };
            Given::id(hosted(holder).await)
        }),
        Row::new("DELETE /api/v1/content/{sha256}", Rule::Mine).given(async |stage| {
            let holder = match stage.object {
                Object::Foreign if stage.who == Principal::Creator => Some(Principal::Stranger),
                Object::Foreign => Some(Principal::Creator),
                Object::Missing => None,
                _ if stage.world.caller(stage.who).user.is_some() => Some(stage.who),
                _ => Some(Principal::Creator),
            };
            let holder = holder.map(|who| stage.world.caller(who).client.clone());
            Given::id(hosted(holder).await)
        }),
        // While it is enabled, the project's calls want its content, which nobody published.
        of("POST /api/v1/products/{id}/enable", ConfigureProject)
            .given(async |stage| in_project(&stage))
            .alone(),
        of("POST /api/v1/products/{id}/accept-content", ConfigureProject)
            .given(async |stage| {
                if stage.object == Object::Own {
                    enabled(&stage).await;
                }
                in_project(&stage)
            })
            .alone(),
        of("DELETE /api/v1/products/{id}/disable", ConfigureProject)
            .given(async |stage| in_project(&stage))
            .alone(),
        of("GET /api/v1/projects/{id}/products", ReadProject),
        of("GET /api/v1/projects/{id}/price-per-call", ReadProject),
    ]
}

/// The creator among the callers, or a wallet that is none.
fn creator(stage: &Stage) -> String {
    match stage.object {
        Object::Own | Object::Nothing => stage.world.address(Principal::Creator),
        Object::Foreign | Object::Missing => stage.world.somebody(),
    }
}

/// The caller's own wallet, the creator's, or nobody's.
fn mine(stage: &Stage) -> String {
    match stage.object {
        Object::Own if !stage.who.is_nobody() && !stage.who.is_key() => stage.world.address(stage.who),
        Object::Foreign if stage.who != Principal::Creator => stage.world.address(Principal::Creator),
        _ => stage.world.somebody(),
    }
}

/// The creator's product, which everybody sees, or one that does not exist.
fn product(stage: &Stage) -> String {
    match stage.object {
        Object::Own | Object::Nothing => stage.world.product.to_string(),
        Object::Foreign | Object::Missing => NO_NUMBER.to_owned(),
    }
}

/// Makes the wallet a creator, unless it is one.
async fn register(wallet: &Client) {
    let body = json!({"uri": "https://creator.example", "pub_key": "04ab"});
    let asked = wallet.post("/v1/creator").json(&body).send().await;
    assert!(matches!(asked.status.as_u16(), 200 | 409), "{}", asked.text());
}

/// Makes the wallet a creator that has announced a second payout address on chain.
/// The future is driven here, because it keeps references across waits that make it unfit for another thread.
fn announce_payout(stage: &Stage, user: &User) {
    let announced = async {
        register(&user.client).await;
        let path = format!("/v1/creator/{}/payout-address", user.address());
        let body = json!({"payout_address": stage.world.somebody()});
        let asked = user.client.post(&path).json(&body).data().await;
        stage
            .world
            .app
            .chain
            .sign(&user.wallet, &asked["transaction"])
            .await;
        eventually("the announced address is indexed", async || {
            let shown = user.client.get(&path).data().await;
            shown["next_payout_address"].is_string().then_some(())
        })
        .await;
    };
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(announced));
}

/// Content that the holder keeps, or a digest of nothing.
async fn hosted(holder: Option<Client>) -> String {
    let Some(holder) = holder else {
        return "0".repeat(64);
    };
    register(&holder).await;
    let kept = holder.put("/v1/content").body(Sealed::anything(10)).data().await;
    kept["sha256"].as_str().expect("a digest").to_owned()
}

/// Lets the tenant's owner enable the product for the project.
async fn enabled(stage: &Stage) {
    let path = format!("/v1/products/{}/enable", stage.world.product);
    stage
        .as_owner(|owner, tenant| owner.post(&path).json(&json!({"project_id": tenant.project_id})))
        .await;
}

/// The product there is, in the tenant's project.
fn in_project(stage: &Stage) -> Given {
    let project = stage
        .tenant()
        .map_or_else(|| NO_NUMBER.to_owned(), |tenant| tenant.project_id.to_string());
    Given {
        query: vec![("project_id", project)],
        ..Given::id(stage.world.product)
    }
}
