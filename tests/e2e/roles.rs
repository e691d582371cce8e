//! Every role against every action, through HTTP, against a copy of the table made by hand.

use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Tenant, User, question},
    client::{Ask, Client},
};
use http::Method;
use serde_json::{Value, json};

/// owner, org admin, org member, project admin, developer, viewer, stranger.
const ROLES: [&str; 7] = [
    "owner",
    "admin",
    "member",
    "project admin",
    "developer",
    "viewer",
    "stranger",
];

struct Cast {
    tenant: Tenant,
    people: Vec<User>,
    victim: String,
}

async fn cast(app: &App) -> Cast {
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    let mut people = vec![tenant.owner.clone()];
    for number in 2..=7 {
        people.push(app.wallet(number).await);
    }
    let owner = &tenant.owner.client;
    let org = format!("/v1/orgs/{}/members", tenant.org_id);
    let project = format!("/v1/projects/{}/members", tenant.project_id);
    for (path, number, role) in [
        (&org, 1, "admin"),
        (&org, 2, "member"),
        (&project, 3, "admin"),
        (&project, 4, "developer"),
        (&project, 5, "viewer"),
    ] {
        let body = json!({"wallet_address": people[number].address(), "role": role});
        owner.post(path).json(&body).data().await;
    }
    let victim = app.wallet(9).await.address();
    Cast {
        tenant,
        people,
        victim,
    }
}

/// One action and who may do it.
struct Row {
    what: &'static str,
    allowed: [bool; 7],
    ask: fn(&Client, &Cast) -> Ask,
    /// Brings things back to what they were, as the owner.
    undo: Option<fn(&Client, &Cast) -> Ask>,
}

const Y: bool = true;
const N: bool = false;

fn org(cast: &Cast, rest: &str) -> String {
    format!("/v1/orgs/{}{rest}", cast.tenant.org_id)
}

fn project(cast: &Cast, rest: &str) -> String {
    format!("/v1/projects/{}{rest}", cast.tenant.project_id)
}

fn member(cast: &Cast, role: &str) -> Value {
    json!({"wallet_address": cast.victim, "role": role})
}

fn rows() -> Vec<Row> {
    let reads = |what, allowed, ask| Row {
        what,
        allowed,
        ask,
        undo: None,
    };
    vec![
        reads("read the organization", [Y, Y, Y, Y, Y, Y, N], |c, k| {
            c.get(&org(k, ""))
        }),
        reads("list its projects", [Y, Y, Y, Y, Y, Y, N], |c, k| {
            c.get(&org(k, "/projects"))
        }),
        reads("list its members", [Y, Y, Y, Y, Y, Y, N], |c, k| {
            c.get(&org(k, "/members"))
        }),
        reads("list its models", [Y, Y, Y, Y, Y, Y, N], |c, k| {
            c.get(&org(k, "/models"))
        }),
        reads("read its balance", [Y, Y, N, N, N, N, N], |c, k| {
            c.get(&org(k, "/balance"))
        }),
        reads("read its expenditure", [Y, Y, N, N, N, N, N], |c, k| {
            c.get(&org(k, "/expenditure"))
        }),
        reads("read its receipts", [Y, Y, N, N, N, N, N], |c, k| {
            c.get(&org(k, "/receipts"))
        }),
        reads("rename it", [Y, N, N, N, N, N, N], |c, k| {
            c.patch(&org(k, "")).json(&json!({"name": "Acme"}))
        }),
        reads("enable a model", [Y, Y, N, N, N, N, N], |c, k| {
            c.post(&org(k, "/models")).json(&json!({"model_id": 1}))
        }),
        Row {
            what: "disable a model",
            allowed: [Y, Y, N, N, N, N, N],
            ask: |c, k| c.delete(&org(k, "/models")).query(&[("model_id", "2")]),
            undo: Some(|c, k| c.post(&org(k, "/models")).query(&[("model_id", "2")])),
        },
        reads("create a project", [Y, Y, N, N, N, N, N], |c, k| {
            c.post("/v1/projects")
                .json(&json!({"org_id": k.tenant.org_id, "name": "More"}))
        }),
        Row {
            what: "invite a member",
            allowed: [Y, Y, N, N, N, N, N],
            ask: |c, k| c.post(&org(k, "/members")).json(&member(k, "member")),
            undo: Some(|c, k| {
                c.delete(&org(k, "/members"))
                    .json(&json!({"wallet_address": k.victim}))
            }),
        },
        Row {
            what: "appoint an admin",
            allowed: [Y, N, N, N, N, N, N],
            ask: |c, k| c.post(&org(k, "/members")).json(&member(k, "admin")),
            undo: Some(|c, k| {
                c.delete(&org(k, "/members"))
                    .json(&json!({"wallet_address": k.victim}))
            }),
        },
        reads("demote an admin", [Y, N, N, N, N, N, N], |c, k| {
            let admin = json!({"wallet_address": k.people[1].address(), "role": "admin"});
            c.patch(&org(k, "/members")).json(&admin)
        }),
        reads("read the project", [Y, Y, N, Y, Y, Y, N], |c, k| {
            c.get(&project(k, ""))
        }),
        reads("list the project's members", [Y, Y, N, Y, Y, Y, N], |c, k| {
            c.get(&project(k, "/members"))
        }),
        reads("configure the project", [Y, Y, N, Y, Y, N, N], |c, k| {
            c.patch(&project(k, "")).json(&json!({"memory_window": 30}))
        }),
        reads("price the project", [Y, Y, N, Y, N, N, N], |c, k| {
            c.patch(&project(k, "")).json(&json!({"price_per_call": 0}))
        }),
        reads("publish the project", [Y, Y, N, Y, N, N, N], |c, k| {
            c.patch(&project(k, "")).json(&json!({"public": false}))
        }),
        Row {
            what: "add a member to the project",
            allowed: [Y, Y, N, Y, N, N, N],
            ask: |c, k| c.post(&project(k, "/members")).json(&member(k, "viewer")),
            undo: Some(|c, k| {
                c.delete(&project(k, "/members"))
                    .json(&json!({"wallet_address": k.victim}))
            }),
        },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_roles_holds_for_every_action() {
    let app = App::start().await;
    let cast = cast(&app).await;
    let mut wrong = Vec::new();
    for row in rows() {
        for ((role, person), allowed) in ROLES.iter().zip(&cast.people).zip(row.allowed) {
            let answer = (row.ask)(&person.client, &cast).send().await;
            let status = answer.status.as_u16();
            let right = match (allowed, *role) {
                (true, _) => answer.status.is_success(),
                (false, "stranger") => status == 404,
                (false, _) => status == 403 || status == 404,
            };
            if !right {
                wrong.push(format!(
                    "{role} may{} {}: {status} {}",
                    if allowed { "" } else { " not" },
                    row.what,
                    answer.text()
                ));
            }
            if answer.status.is_success() {
                if let Some(undo) = row.undo {
                    undo(&cast.tenant.owner.client, &cast).data().await;
                }
            } else {
                answer.rest_failure();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_for_those_who_work_on_the_project() {
    let app = App::start().await;
    let cast = cast(&app).await;
    let expected = [200, 200, 403, 200, 200, 403, 404];
    for ((role, person), expected) in ROLES.iter().zip(&cast.people).zip(expected) {
        let caller = person
            .client
            .with("haithe-organization", cast.tenant.org_uid.as_str())
            .with("haithe-project", cast.tenant.project_uid.as_str());
        let answer = caller.chat(&question("free")).send().await;
        assert_eq!(answer.status.as_u16(), expected, "{role}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_but_the_owner_may_leave() {
    let app = App::start().await;
    let cast = cast(&app).await;
    let members = org(&cast, "/members");
    for person in &cast.people[1..=2] {
        let own = json!({"wallet_address": person.address()});
        person.client.delete(&members).json(&own).data().await;
    }
    let own = json!({"wallet_address": cast.tenant.owner.address()});
    cast.tenant
        .owner
        .client
        .delete(&members)
        .json(&own)
        .refused(409, "owner_is_on_chain")
        .await;
    for person in &cast.people[4..=5] {
        let own = json!({"wallet_address": person.address()});
        person
            .client
            .delete(&project(&cast, "/members"))
            .json(&own)
            .data()
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_session_nothing_of_it_answers() {
    let app = App::start().await;
    let cast = cast(&app).await;
    for row in rows() {
        let answer = (row.ask)(&app.anonymous(), &cast).send().await;
        assert_eq!(answer.status, 401, "{}", row.what);
        answer.refused(401, "authentication_required");
    }
    let deleted = app.anonymous().ask(Method::DELETE, &org(&cast, "")).send().await;
    deleted.refused(401, "authentication_required");
}
