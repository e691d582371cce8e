//! [`UsageStore`] on PostgreSQL: sums over days.

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
use sqlx::{AssertSqlSafe, postgres::PgRow};

/// [`UsageStore`] on PostgreSQL.
#[derive(Clone)]
pub struct PgUsageStore {
    db: Db,
}

impl PgUsageStore {
    /// Usage in this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

/// What is summed. Sums are taken in two halves, because one of 64 bits could overflow.
const SUMMED: [&str; 5] = [
    "charged",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "reasoning_tokens",
];

/// The figures without their names.
fn grouped(query: &UsageQuery) -> String {
    let of = |dimension, column: &str, kind: &str| {
        if query.by.contains(dimension) {
            format!("{column} AS {column}")
        } else {
            format!("NULL::{kind} AS {column}")
        }
    };
    let of_products = query.is_of_products();
    let (table, product) = if of_products {
        ("product_days", "product_id")
    } else {
        ("usage_days", "NULL::BIGINT")
    };
    let sums = SUMMED.map(|name| {
        let column = if of_products && name != "charged" {
            "0::BIGINT"
        } else {
            name
        };
        format!(
            "sum({column} >> 32)::BIGINT AS {name}_high, sum({column} & 4294967295)::BIGINT AS {name}_low"
        )
    });
    format!(
        "SELECT {}, {}, {}, {}, {}, {}, sum(calls)::BIGINT AS calls, {}
         FROM {table}
         WHERE org_id = $1 AND day BETWEEN $2 AND $3 AND ($4 IS NULL OR project_id = $4)
           AND ($5 IS NULL OR api_key_id = $5) AND ($6 IS NULL OR model_id = $6)
           AND ($7 IS NULL OR {product} = $7)
         GROUP BY 1, 2, 3, 4, 5, 6",
        of(Dimension::Day, "day", "BIGINT"),
        of(Dimension::Project, "project_id", "BIGINT"),
        of(Dimension::ApiKey, "api_key_id", "BIGINT"),
        of(Dimension::Model, "model_id", "BIGINT"),
        of(Dimension::Model, "model_name", "TEXT"),
        of(Dimension::Product, "product_id", "BIGINT"),
        sums.join(", "),
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
impl UsageStore for PgUsageStore {
    async fn figures(
        &self,
        org: OrgId,
        query: UsageQuery,
        page: Option<Page>,
    ) -> Result<Listed<UsageRow>, StoreError> {
        let grouped = grouped(&query);
        let count = format!("SELECT count(*) FROM ({grouped}) AS figures");
        let rows = format!(
            "SELECT figures.*, (SELECT name FROM projects WHERE id = figures.project_id) AS project_name,
                    (SELECT name FROM api_keys WHERE id = figures.api_key_id) AS key_name,
                    (SELECT name FROM products WHERE id = figures.product_id) AS product_name
             FROM ({grouped} ORDER BY 1, 2, 3, 4, 5, 6 LIMIT $8 OFFSET $9) AS figures
             ORDER BY 1, 2, 3, 4, 5, 6"
        );
        let (limit, offset) = page.map_or((MOST_ROWS, 0), |page| (page.limit(), page.offset()));
        let of_products = query.is_of_products();
        let rows = bound(rows, org, &query)
            .bind(i64::from(limit))
            .bind(i64::from(offset));
        let mut snapshot = self.db.snapshot().await?;
        let count = bound(count, org, &query).fetch_one(&mut *snapshot).await;
        let count = count.map_err(StoreError::new)?;
        let rows = rows.fetch_all(&mut *snapshot).await.map_err(StoreError::new)?;
        Ok(Listed {
            items: rows
                .iter()
                .map(|row| figure(row, of_products))
                .collect::<Result<_, _>>()?,
            total: Columns::of(&count).get("usage_days.count")?,
        })
    }
}

fn figure(row: &PgRow, of_products: bool) -> Result<UsageRow, StoreError> {
    let columns = Columns::of(row);
    let day: Option<i64> = columns.get("usage_days.day")?;
    let project: Option<ProjectId> = columns.get("usage_days.project_id")?;
    let api_key: Option<ApiKeyId> = columns.get("usage_days.api_key_id")?;
    let model: Option<ModelId> = columns.get("usage_days.model_id")?;
    let product: Option<ProductId> = columns.get("product_days.product_id")?;
    let project_name = columns.get("projects.project_name")?;
    let key_name = columns.get("api_keys.key_name")?;
    let model_name = columns.get("usage_days.model_name")?;
    let product_name = columns.get("products.product_name")?;
    let charged = whole(
        columns.get("usage_days.charged_high")?,
        columns.get("usage_days.charged_low")?,
    );
    let tokens = TokenUsage {
        input: tokens(
            columns.get("usage_days.input_tokens_high")?,
            columns.get("usage_days.input_tokens_low")?,
        ),
        cached: tokens(
            columns.get("usage_days.cached_tokens_high")?,
            columns.get("usage_days.cached_tokens_low")?,
        ),
        output: tokens(
            columns.get("usage_days.output_tokens_high")?,
            columns.get("usage_days.output_tokens_low")?,
        ),
        reasoning: tokens(
            columns.get("usage_days.reasoning_tokens_high")?,
            columns.get("usage_days.reasoning_tokens_low")?,
        ),
    };
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
        tokens: (!of_products).then_some(tokens),
        charged: Usdt::from_nano(i64::try_from(charged).unwrap_or(i64::MAX)),
    })
}

/// A sum from its halves.
fn whole(high: i64, low: i64) -> i128 {
    (i128::from(high) << 32) + i128::from(low)
}

fn tokens(high: i64, low: i64) -> u64 {
    u64::try_from(whole(high, low)).unwrap_or(u64::MAX)
}
