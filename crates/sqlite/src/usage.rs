//! [`UsageStore`] on SQLite: sums over days that triggers roll up as captures are stored.

use crate::{
    columns::Columns,
    db::{Db, Statement},
};
use async_trait::async_trait;
use haithe_billing::{
    ports::UsageStore,
    usage::{Day, Dimension, MOST_ROWS, Named, UsageQuery, UsageRow, UsageTotals},
};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{Listed, ModelId, OrgId, Page, ProductId, ProjectId, StoreError};
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
    let [input, cached, output, reasoning] = tokens;
    let (input, cached) = (halves(input, "input"), halves(cached, "cached"));
    let (output, reasoning) = (halves(output, "output"), halves(reasoning, "reasoning"));
    let charged = halves("charged", "charged");
    format!(
        "SELECT {} AS day, {} AS project_id, {} AS api_key_id, {} AS model_id, {} AS model_name,
                {} AS product_id, sum(calls) AS calls, {charged},
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

/// The sum of a column in two halves, as `{name}_high` and `{name}_low`, for [`whole`].
fn halves(column: &str, name: &str) -> String {
    format!("sum({column} >> 32) AS {name}_high, sum({column} & 4294967295) AS {name}_low")
}

/// A sum from its halves `high` and `low`.
pub(crate) fn whole(
    columns: &Columns<'_>,
    (high, low): (&str, &str),
    place: &'static str,
) -> Result<i128, StoreError> {
    let high: Option<i64> = columns.get_as(high, place)?;
    let low: Option<i64> = columns.get_as(low, place)?;
    Ok((i128::from(high.unwrap_or(0)) << 32) + i128::from(low.unwrap_or(0)))
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
            "SELECT figures.*, (SELECT name FROM projects WHERE id = figures.project_id) AS project_name,
                    (SELECT name FROM api_keys WHERE id = figures.api_key_id) AS api_key_name,
                    (SELECT name FROM products WHERE id = figures.product_id) AS product_name
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
    let columns = Columns::of(row);
    let day: Option<i64> = columns.get("usage_days.day")?;
    let project: Option<ProjectId> = columns.get("usage_days.project_id")?;
    let api_key: Option<ApiKeyId> = columns.get("usage_days.api_key_id")?;
    let model: Option<ModelId> = columns.get("usage_days.model_id")?;
    let product: Option<ProductId> = columns.get("product_days.product_id")?;
    let model_name = columns.get("usage_days.model_name")?;
    let project_name = columns.get_as("project_name", "projects.name")?;
    let key_name = columns.get_as("api_key_name", "api_keys.name")?;
    let product_name = columns.get_as("product_name", "products.name")?;
    let totals = totals(&columns)?;
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
        calls: columns.get("usage_days.calls")?,
        tokens: (!of_products).then(|| totals.tokens()),
        charged: totals.charged(),
    })
}

fn totals(columns: &Columns<'_>) -> Result<UsageTotals, StoreError> {
    let tokens = |halves| whole(columns, halves, "usage_days.tokens");
    Ok(UsageTotals {
        charged: whole(columns, ("charged_high", "charged_low"), "usage_days.charged")?,
        input: tokens(("input_high", "input_low"))?,
        cached: tokens(("cached_high", "cached_low"))?,
        output: tokens(("output_high", "output_low"))?,
        reasoning: tokens(("reasoning_high", "reasoning_low"))?,
    })
}
