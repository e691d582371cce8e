//! Sums over days, of rows that the test writes.

use crate::{database::Setup, world::nano};
use haithe_billing::{
    ports::UsageStore,
    usage::{Day, UsageQuery, UsageRow},
};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{OrgId, Page, ProductId, Usdt};
use haithe_postgres::{Db, PgConfig, PgUsageStore};
use haithe_tests::postgres::TestDatabase;
use sqlx::{ConnectOptions, postgres::PgConnectOptions};

const ORG: OrgId = OrgId(1);

fn query(by: &str) -> UsageQuery {
    UsageQuery {
        by: by.parse().unwrap(),
        from: None,
        until: None,
        project: None,
        api_key: None,
        model: None,
        product: None,
    }
}

/// Two days of two projects, of which one call has as many tokens as a column can hold.
async fn store(database: &TestDatabase) -> PgUsageStore {
    let db = Db::open(&PgConfig::new(database.url(), Setup::default().decimals)).await;
    let options: PgConnectOptions = database.url().parse().unwrap();
    let mut connection = options.connect().await.unwrap();
    for insert in [
        "INSERT INTO usage_days VALUES
             (1, 100, 5, 0, 1, 'gpt', 3, 10, 1, 5, 2, 30),
             (1, 100, 6, 7, 1, 'gpt', 1, 9223372036854775807, 0, 5, 0, 4),
             (1, 101, 6, 7, 2, 'llm', 2, 9223372036854775807, 0, 5, 0, 9223372036854775807),
             (2, 100, 8, 0, 1, 'gpt', 9, 1, 1, 1, 1, 1)",
        "INSERT INTO product_days VALUES (1, 100, 5, 0, 1, 'gpt', 4, 'platform', 2, 6)",
    ] {
        sqlx::query(insert).execute(&mut connection).await.unwrap();
    }
    PgUsageStore::new(&db.unwrap())
}

async fn figures(store: &PgUsageStore, query: UsageQuery) -> Vec<UsageRow> {
    store.figures(ORG, query, None).await.unwrap().items
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_told_apart_as_asked_and_never_overflow() {
    let Some(database) = TestDatabase::create().await else {
        return;
    };
    let store = store(&database).await;
    let [total] = figures(&store, query("total")).await.try_into().unwrap();
    assert_eq!((total.calls, total.charged), (6, Usdt::from_nano(i64::MAX)));
    assert_eq!(total.tokens.unwrap().input, u64::MAX, "the end of the range");
    let by_day = figures(&store, query("day")).await;
    let charged: Vec<_> = by_day.iter().map(|row| (row.day, row.charged)).collect();
    let first = (Some(Day(100)), nano(34));
    assert_eq!(charged, [first, (Some(Day(101)), nano(i64::MAX))]);
    let by_key = figures(&store, query("key")).await;
    assert_eq!(by_key.len(), 2);
    assert_eq!(by_key[0].api_key, Some(None), "calls with a session");
    let page = Page::new(1, 1).unwrap();
    let listed = store.figures(ORG, query("project"), Some(page)).await.unwrap();
    assert_eq!((listed.total, listed.items[0].calls), (2, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_keep_to_days_keys_and_products() {
    let Some(database) = TestDatabase::create().await else {
        return;
    };
    let store = store(&database).await;
    let of_first_day = UsageQuery {
        until: Some(Day(100)),
        api_key: Some(ApiKeyId(7)),
        ..query("total")
    };
    let [row] = figures(&store, of_first_day).await.try_into().unwrap();
    assert_eq!(row.charged, nano(4));
    let [row] = figures(&store, query("product")).await.try_into().unwrap();
    assert_eq!((row.calls, row.charged, row.tokens), (2, nano(6), None));
    assert_eq!(row.product.map(|product| product.id), Some(ProductId(4)));
    let of_another = UsageQuery {
        product: Some(ProductId(5)),
        ..query("total")
    };
    assert!(figures(&store, of_another).await.is_empty());
}
