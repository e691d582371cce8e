//! What was used, told apart by day, project, key, model and product; as JSON and as a table.

use haithe_kernel::Usdt;
use haithe_tests::app::{App, Tenant, question, usdt};
use serde_json::{Value, json};

/// Two calls with a session, one with a key; two models; the key's in another project.
async fn used(app: &App) -> (Tenant, i64) {
    let tenant = app.funded("Acme", Usdt::whole(5)).await;
    let owner = &tenant.owner.client;
    for model in ["per-call", "free"] {
        assert_eq!(tenant.caller.chat(&question(model)).send().await.status, 200);
    }
    let body = json!({"org_id": tenant.org_id, "name": "=HYPERLINK(\"x\",1)"});
    let other = owner.post("/v1/projects").json(&body).data().await["id"]
        .as_i64()
        .unwrap();
    let key = tenant.api_key(json!({"project_id": other})).await;
    let with_key = app.anonymous().bearer(&key);
    assert_eq!(with_key.chat(&question("per-call")).send().await.status, 200);
    tenant.at_rest().await;
    (tenant, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_adds_up_to_what_was_spent_however_it_is_told_apart() {
    let app = App::start().await;
    let (tenant, other) = used(&app).await;
    let path = format!("/v1/orgs/{}/usage", tenant.org_id);
    let owner = &tenant.owner.client;
    let spent = tenant.expenditure().await;
    let of = async |query: &[(&str, &str)]| {
        let rows = owner.get(&path).query(query).data().await;
        rows.as_array().expect("a list").clone()
    };
    for (by, count) in [
        ("total", 1),
        ("day", 1),
        ("project", 2),
        ("key", 2),
        ("model", 2),
        ("day,project,key,model", 3),
    ] {
        let rows = of(&[("group_by", by)]).await;
        let charged = rows
            .iter()
            .map(|row| usdt(&row["charged_usdt"]).nano())
            .sum::<i64>();
        assert_eq!((rows.len(), charged), (count, spent.nano()), "{by}: {rows:?}");
        let calls = rows.iter().map(|row| row["calls"].as_u64().unwrap()).sum::<u64>();
        assert_eq!(calls, 3, "{by}");
        for row in &rows {
            for (dimension, field) in [
                ("day", "day"),
                ("project", "project_id"),
                ("key", "api_key_id"),
                ("model", "model_id"),
            ] {
                assert_eq!(row.get(field).is_some(), by.contains(dimension), "{by}: {row}");
            }
        }
    }
    let by_key = of(&[("group_by", "key")]).await;
    assert_eq!(
        (&by_key[0]["api_key_id"], &by_key[0]["calls"]),
        (&Value::Null, &json!(2)),
        "sessions"
    );
    assert_eq!(by_key[1]["api_key_name"], "a key");
    assert!(by_key[1]["input_tokens"].as_u64().unwrap() > 0, "{by_key:?}");
    let by_model = of(&[("group_by", "model")]).await;
    assert_eq!(
        (&by_model[0]["model"], &by_model[1]["charged"]),
        (&json!("per-call"), &json!(0))
    );

    let other = other.to_string();
    assert_eq!(of(&[("project_id", &other)]).await[0]["calls"], 1);
    assert_eq!(of(&[("model_id", "4")]).await[0]["calls"], 1);
    assert_eq!(of(&[("until", "2020-01-01")]).await, [Value::Null; 0]);
    assert_eq!(of(&[("from", "2020-01-01")]).await[0]["calls"], 3);
    assert_eq!(
        of(&[("group_by", "product")]).await,
        [Value::Null; 0],
        "no product was charged"
    );
    let paged = owner
        .get(&path)
        .query(&[("group_by", "project"), ("limit", "1"), ("offset", "1")]);
    let paged = paged.send().await;
    assert_eq!(paged.header("x-total-count"), Some("2"));
    assert_eq!(paged.data()[0]["project_id"].to_string(), other);
    for (name, value, code) in [
        ("group_by", "wallet", "invalid_parameter"),
        ("from", "2026-02-30", "invalid_parameter"),
        ("format", "xml", "invalid_parameter"),
        ("limit", "0", "invalid_page"),
    ] {
        owner.get(&path).query(&[(name, value)]).refused(400, code).await;
    }
    let backwards = owner
        .get(&path)
        .query(&[("from", "2026-02-01"), ("until", "2026-01-01")]);
    backwards.refused(400, "invalid_range").await;

    let of_project = owner
        .get(&format!("/v1/projects/{other}/usage"))
        .query(&[("group_by", "total")]);
    assert_eq!(of_project.data().await[0]["calls"], 1);
    let restarted = app.restarted().await;
    let again = tenant.at(&restarted.base).owner.client.get(&path).data().await;
    assert_eq!(again[0]["calls"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_a_file_whose_names_are_no_formulas() {
    let app = App::start().await;
    let (tenant, other) = used(&app).await;
    let path = format!("/v1/orgs/{}/usage", tenant.org_id);
    let ask = tenant.owner.client.get(&path);
    let asked = ask
        .query(&[("format", "csv"), ("group_by", "project"), ("limit", "1")])
        .send()
        .await;
    assert_eq!(
        asked.header("content-type"),
        Some("text/csv; charset=utf-8; header=present")
    );
    assert_eq!(
        asked.header("content-disposition"),
        Some("attachment; filename=\"usage.csv\"")
    );
    let table = asked.text();
    let lines: Vec<&str> = table.split("\r\n").collect();
    assert_eq!(
        lines[0],
        "project_id,project_name,calls,input_tokens,cached_tokens,output_tokens,reasoning_tokens,charged,charged_usdt"
    );
    assert_eq!(lines.len(), 4, "every row, whatever the page: {table}");
    assert!(
        lines[2].starts_with(&format!("{other},\"'=HYPERLINK(\"\"x\"\",1)\",1,")),
        "{table}"
    );
    let accepting = tenant.owner.client.with("accept", "text/csv");
    assert!(accepting.get(&path).send().await.text().starts_with("day,calls,"));
    let json = accepting.get(&path).query(&[("format", "json")]).send().await;
    assert_eq!(json.data()[0]["calls"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_are_paged_and_chosen_by_project_and_time() {
    let app = App::start().await;
    let (tenant, other) = used(&app).await;
    let owner = &tenant.owner.client;
    let path = format!("/v1/orgs/{}/receipts", tenant.org_id);
    let ids = |answer: &haithe_tests::client::Answer| {
        let list = answer.data();
        let list = list.as_array().expect("a list").iter();
        list.map(|receipt| receipt["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let all = owner.get(&path).send().await;
    assert_eq!(all.header("x-total-count"), Some("3"));
    let all = ids(&all);
    let page = owner
        .get(&path)
        .query(&[("limit", "1"), ("offset", "1")])
        .send()
        .await;
    assert_eq!(
        (page.header("x-total-count"), ids(&page)),
        (Some("3"), vec![all[1].clone()])
    );
    let after = owner
        .get(&path)
        .query(&[("after", all[0].as_str()), ("limit", "200")])
        .send()
        .await;
    assert_eq!(ids(&after), all[1..], "as before");
    let other = other.to_string();
    let of_other = owner
        .get(&path)
        .query(&[("project_id", other.as_str())])
        .send()
        .await;
    assert_eq!(
        (of_other.header("x-total-count"), ids(&of_other)),
        (Some("1"), vec![all[2].clone()])
    );
    let of_project = owner.get(&format!("/v1/projects/{other}/receipts")).send().await;
    assert_eq!(ids(&of_project), [all[2].clone()]);
    let finished = owner.get(&format!("/v1/receipts/{}", all[1])).data().await;
    let finished = finished["document"]["finished_at"].as_str().unwrap().to_owned();
    let since = owner
        .get(&path)
        .query(&[("from", finished.as_str())])
        .send()
        .await;
    assert_eq!(ids(&since), all[1..]);
    let before = owner
        .get(&path)
        .query(&[("until", finished.as_str())])
        .send()
        .await;
    assert_eq!(ids(&before), all[..1]);
    for (name, value, code) in [
        ("from", "2026-01-01", "invalid_parameter"),
        ("after", "x", "invalid_parameter"),
        ("limit", "201", "invalid_page"),
    ] {
        owner.get(&path).query(&[(name, value)]).refused(400, code).await;
    }
}
