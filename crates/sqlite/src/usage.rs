//! [`UsageStore`] on SQLite: sums over days that triggers roll up as captures are stored.

use crate::{
    columns::Columns,
    db::{Db, Statement},
};
use async_trait::async_trait;
use haithe_billing::{
    capture::TokenUsage,
    ports::UsageStore,
    usage::{Day, Dimension, MOST_ROWS, Named, UsageQuery, UsageRow},
};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{Listed, ModelId, OrgId, Page, ProductId, ProjectId, StoreError, Usdt};
use sqlx::{AssertSqlSafe, sqlite::SqliteRow};

/// [`UsageStore`] on SQLite.
#[derive(Clone)]
pub struct SqliteUsageStore {
    db: Db,
}

impl SqliteUsageStore {
    /// Usage in this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

/// The figures without their names. Sums are taken in two halves, because one of 64 bits could
/// overflow, which SQLite makes a failure.
fn grouped(query: &UsageQuery) -> String {
    let of = |dimension, column: &'static str| {
        if query.by.contains(dimension) {
            column
        } else {
            "NULL"
        }
    };
    let (table, product, tokens) = if query.is_of_products() {
        ("product_days", "product_id", ["0"; 4])
    } else {
        let tokens = [
            "input_tokens",
            "cached_tokens",
            "output_tokens",
            "reasoning_tokens",
        ];
        ("usage_days", "NULL", tokens)
    };
    let [input, cached, output, reasoning] =
        tokens.map(|column| format!("sum({column} >> 32), sum({column} & 4294967295)"));
    format!(
        "SELECT {} AS day, {} AS project_id, {} AS api_key_id, {} AS model_id, {} AS model_name,
                {} AS product_id, sum(calls), sum(charged >> 32), sum(charged & 4294967295),
                {input}, {cached}, {output}, {reasoning}
         FROM {table}
         WHERE org_id = ?1 AND day BETWEEN ?2 AND ?3 AND (?4 IS NULL OR project_id = ?4)
           AND (?5 IS NULL OR api_key_id = ?5) AND (?6 IS NULL OR model_id = ?6)
           AND (?7 IS NULL OR {product} = ?7)
         GROUP BY 1, 2, 3, 4, 5, 6",
        of(Dimension::Day, "day"),
        of(Dimension::Project, "project_id"),
        of(Dimension::ApiKey, "api_key_id"),
        of(Dimension::Model, "model_id"),
        of(Dimension::Model, "model_name"),
        of(Dimension::Product, "product_id"),
    )
}

fn bound(sql: String, org: OrgId, query: &UsageQuery) -> Statement {
    sqlx::query(AssertSqlSafe(sql))
        .bind(org.0)
        .bind(query.from.map_or(i64::MIN, |day| day.0))
        .bind(query.until.map_or(i64::MAX, |day| day.0))
        .bind(query.project.map(|project| project.0))
        .bind(query.api_key.map(|key| key.0))
        .bind(query.model.map(|model| model.0))
        .bind(query.product.map(|product| product.0))
}

#[async_trait]
impl UsageStore for SqliteUsageStore {
    async fn figures(
        &self,
        org: OrgId,
        query: UsageQuery,
        page: Option<Page>,
    ) -> Result<Listed<UsageRow>, StoreError> {
        let grouped = grouped(&query);
        let count = format!("SELECT count(*) AS count FROM ({grouped})");
        let rows = format!(
            "SELECT figures.*, (SELECT name FROM projects WHERE id = figures.project_id),
                    (SELECT name FROM api_keys WHERE id = figures.api_key_id),
                    (SELECT name FROM products WHERE id = figures.product_id)
             FROM ({grouped} ORDER BY 1, 2, 3, 4, 5, 6 LIMIT ?8 OFFSET ?9) AS figures
             ORDER BY 1, 2, 3, 4, 5, 6"
        );
        let (limit, offset) = page.map_or((MOST_ROWS, 0), |page| (page.limit(), page.offset()));
        let of_products = query.is_of_products();
        let rows = bound(rows, org, &query).bind(limit).bind(offset);
        self.db
            .listed(bound(count, org, &query), rows, |row| figure(row, of_products))
            .await
    }
}

fn figure(row: &SqliteRow, of_products: bool) -> Result<UsageRow, StoreError> {
    let mut columns = Columns::of(row);
    let day: Option<i64> = columns.read("usage_days.day")?;
    let project: Option<ProjectId> = columns.read("usage_days.project_id")?;
    let api_key: Option<ApiKeyId> = columns.read("usage_days.api_key_id")?;
    let model: Option<ModelId> = columns.read("usage_days.model_id")?;
    let model_name = columns.read("usage_days.model_name")?;
    let product: Option<ProductId> = columns.read("product_days.product_id")?;
    let calls = columns.read("usage_days.calls")?;
    let charged = whole(&mut columns)?;
    let tokens = TokenUsage {
        input: tokens(&mut columns)?,
        cached: tokens(&mut columns)?,
        output: tokens(&mut columns)?,
        reasoning: tokens(&mut columns)?,
    };
    let project_name = columns.read("projects.name")?;
    let key_name = columns.read("api_keys.name")?;
    let product_name = columns.read("products.name")?;
    Ok(UsageRow {
        day: day.map(Day),
        project: project.map(|id| Named {
            id,
            name: project_name,
        }),
        api_key: api_key.map(|id| (id.0 != 0).then_some(Named { id, name: key_name })),
        model: model.map(|id| Named { id, name: model_name }),
        product: product.map(|id| Named {
            id,
            name: product_name,
        }),
        calls,
        tokens: (!of_products).then_some(tokens),
        charged: Usdt::from_nano(i64::try_from(charged).unwrap_or(i64::MAX)),
    })
}

/// A sum from its halves.
fn whole(columns: &mut Columns<'_>) -> Result<i128, StoreError> {
    let high: i64 = columns.read("usage_days.charged")?;
    let low: i64 = columns.read("usage_days.charged")?;
    Ok((i128::from(high) << 32) + i128::from(low))
}

fn tokens(columns: &mut Columns<'_>) -> Result<u64, StoreError> {
    Ok(u64::try_from(whole(columns)?).unwrap_or(u64::MAX))
}
