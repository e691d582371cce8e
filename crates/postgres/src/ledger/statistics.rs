//! Usage by day, counted in the transaction of the captures. Counts stop at the end of their range.

use super::store::counted;
use crate::{
    columns::{self, text},
    write::WriteTx,
};
use haithe_billing::{capture::LineItem, ledger::GroupCapture, usage::Day};
use haithe_kernel::{ProductId, StoreError};
use std::collections::BTreeMap;

/// An organization's calls on a day, by project, key (0: a session) and model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct UsageKey {
    org: i64,
    day: i64,
    project: i64,
    api_key: i64,
    model: i64,
    model_name: String,
}

impl UsageKey {
    fn of(taken: &GroupCapture) -> Self {
        let usage = &taken.capture.usage;
        Self {
            org: taken.capture.org.0,
            day: Day::of(usage.finished_at).0,
            project: usage.project.0,
            api_key: usage.api_key.map_or(0, |key| key.0),
            model: usage.model.0,
            model_name: text(usage.model_name.as_str()),
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct UsageCounts {
    calls: i64,
    input: i64,
    cached: i64,
    output: i64,
    reasoning: i64,
    charged: i64,
}

fn add(sum: &mut i64, more: i64) {
    *sum = sum.saturating_add(more);
}

/// Counts captures that are stored in the same transaction.
pub(super) async fn count(write: &mut WriteTx, captures: &[GroupCapture]) -> Result<(), StoreError> {
    if captures.is_empty() {
        return Ok(());
    }
    let mut usage = BTreeMap::<UsageKey, UsageCounts>::new();
    let mut products = BTreeMap::<(UsageKey, i64, String), (i64, i64)>::new();
    let mut totals = BTreeMap::<ProductId, i64>::new();
    for taken in captures {
        let key = UsageKey::of(taken);
        let tokens = taken.capture.usage.tokens;
        let counts = usage.entry(key.clone()).or_default();
        add(&mut counts.calls, 1);
        add(&mut counts.input, counted(tokens.input));
        add(&mut counts.cached, counted(tokens.cached));
        add(&mut counts.output, counted(tokens.output));
        add(&mut counts.reasoning, counted(tokens.reasoning));
        add(&mut counts.charged, taken.captured.charged.nano());
        for line in &taken.effects.lines {
            if let LineItem::Product(product) = line.item {
                let of_payee = (key.clone(), product.0, columns::payee(line.payee));
                let (calls, charged) = products.entry(of_payee).or_default();
                add(calls, 1);
                add(charged, line.amount.nano());
                add(totals.entry(product).or_default(), 1);
            }
        }
    }
    count_usage(write, usage).await?;
    if products.is_empty() {
        return Ok(());
    }
    count_products(write, products).await?;
    count_totals(write, totals).await
}

async fn count_usage(write: &mut WriteTx, usage: BTreeMap<UsageKey, UsageCounts>) -> Result<(), StoreError> {
    let upsert = "
        INSERT INTO usage_days (org_id, day, project_id, api_key_id, model_id, model_name, calls, input_tokens,
                                cached_tokens, output_tokens, reasoning_tokens, charged)
        SELECT * FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[], $6::TEXT[],
                             $7::BIGINT[], $8::BIGINT[], $9::BIGINT[], $10::BIGINT[], $11::BIGINT[], $12::BIGINT[])
        ON CONFLICT (org_id, day, project_id, api_key_id, model_id, model_name) DO UPDATE SET
            calls = usage_days.calls + excluded.calls,
            input_tokens = usage_days.input_tokens
                + least(excluded.input_tokens, 9223372036854775807 - usage_days.input_tokens),
            cached_tokens = usage_days.cached_tokens
                + least(excluded.cached_tokens, 9223372036854775807 - usage_days.cached_tokens),
            output_tokens = usage_days.output_tokens
                + least(excluded.output_tokens, 9223372036854775807 - usage_days.output_tokens),
            reasoning_tokens = usage_days.reasoning_tokens
                + least(excluded.reasoning_tokens, 9223372036854775807 - usage_days.reasoning_tokens),
            charged = usage_days.charged + least(excluded.charged, 9223372036854775807 - usage_days.charged)";
    let (keys, counts): (Vec<UsageKey>, Vec<UsageCounts>) = usage.into_iter().unzip();
    let key = |of: fn(&UsageKey) -> i64| -> Vec<i64> { keys.iter().map(of).collect() };
    let count = |of: fn(&UsageCounts) -> i64| -> Vec<i64> { counts.iter().map(of).collect() };
    let names: Vec<String> = keys.iter().map(|key| key.model_name.clone()).collect();
    let statement = sqlx::query(upsert)
        .bind(key(|key| key.org))
        .bind(key(|key| key.day))
        .bind(key(|key| key.project))
        .bind(key(|key| key.api_key))
        .bind(key(|key| key.model))
        .bind(names)
        .bind(count(|counts| counts.calls))
        .bind(count(|counts| counts.input))
        .bind(count(|counts| counts.cached))
        .bind(count(|counts| counts.output))
        .bind(count(|counts| counts.reasoning))
        .bind(count(|counts| counts.charged));
    write.execute(statement).await.map(drop)
}

async fn count_products(
    write: &mut WriteTx,
    products: BTreeMap<(UsageKey, i64, String), (i64, i64)>,
) -> Result<(), StoreError> {
    let upsert = "
        INSERT INTO product_days (org_id, day, project_id, api_key_id, model_id, model_name, product_id, payee, calls,
                                  charged)
        SELECT * FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[], $6::TEXT[],
                             $7::BIGINT[], $8::TEXT[], $9::BIGINT[], $10::BIGINT[])
        ON CONFLICT (org_id, day, project_id, api_key_id, model_id, model_name, product_id, payee) DO UPDATE SET
            calls = product_days.calls + excluded.calls,
            charged = product_days.charged + least(excluded.charged, 9223372036854775807 - product_days.charged)";
    let rows: Vec<_> = products.into_iter().collect();
    let key =
        |of: fn(&UsageKey) -> i64| -> Vec<i64> { rows.iter().map(|((key, _, _), _)| of(key)).collect() };
    let names: Vec<String> = rows
        .iter()
        .map(|((key, _, _), _)| key.model_name.clone())
        .collect();
    let product_ids: Vec<i64> = rows.iter().map(|((_, product, _), _)| *product).collect();
    let payees: Vec<String> = rows.iter().map(|((_, _, payee), _)| payee.clone()).collect();
    let calls: Vec<i64> = rows.iter().map(|(_, (calls, _))| *calls).collect();
    let charged: Vec<i64> = rows.iter().map(|(_, (_, charged))| *charged).collect();
    let statement = sqlx::query(upsert)
        .bind(key(|key| key.org))
        .bind(key(|key| key.day))
        .bind(key(|key| key.project))
        .bind(key(|key| key.api_key))
        .bind(key(|key| key.model))
        .bind(names)
        .bind(product_ids)
        .bind(payees)
        .bind(calls)
        .bind(charged);
    write.execute(statement).await.map(drop)
}

async fn count_totals(write: &mut WriteTx, totals: BTreeMap<ProductId, i64>) -> Result<(), StoreError> {
    let (products, calls): (Vec<i64>, Vec<i64>) = totals
        .into_iter()
        .map(|(product, calls)| (product.0, calls))
        .unzip();
    let upsert =
        "INSERT INTO product_totals (product_id, calls) SELECT * FROM unnest($1::BIGINT[], $2::BIGINT[])
                  ON CONFLICT (product_id) DO UPDATE SET calls = product_totals.calls + excluded.calls";
    let statement = sqlx::query(upsert).bind(products).bind(calls);
    write.execute(statement).await.map(drop)
}
