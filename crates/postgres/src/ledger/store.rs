//! Storing what a group of commands decided, in the transaction in which it was loaded.

use super::{load::budget_name, statistics, sums};
use crate::{
    columns::{self, Columns, text},
    db::Statement,
    instances::InstanceEpoch,
    write::WriteTx,
};
use haithe_billing::{
    capture::{CallOutcome, LineItem},
    ledger::{Entry, GroupCapture, GroupEffects, HoldRecord, Postings},
};
use haithe_kernel::{CallId, OrgId, StoreError};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Who writes, and which holds of the group's calls are stored.
pub(super) struct WrittenBy {
    pub(super) epoch: InstanceEpoch,
    pub(super) stored_holds: HashSet<CallId>,
}

/// Stores the effects.
pub(super) async fn store(
    write: &mut WriteTx,
    by: &WrittenBy,
    effects: GroupEffects,
) -> Result<(), StoreError> {
    let GroupEffects {
        holds,
        captures,
        spent,
        sums,
    } = effects;
    change_holds(write, by, holds).await?;
    if !captures.is_empty() {
        store_captures(write, &captures).await?;
        store_spent(write, spent).await?;
    }
    sums::store(write, &sums).await?;
    // Last, because rows of products are shared by all organizations.
    statistics::count(write, &captures).await
}

async fn change_holds(
    write: &mut WriteTx,
    by: &WrittenBy,
    holds: BTreeMap<CallId, Option<HoldRecord>>,
) -> Result<(), StoreError> {
    // A release may be of a call that the group did not load; a new hold replaces one that it did.
    let is_removed =
        |call: &CallId, hold: &Option<HoldRecord>| hold.is_none() || by.stored_holds.contains(call);
    let removed: Vec<Vec<u8>> = holds
        .iter()
        .filter(|(call, hold)| is_removed(call, hold))
        .map(|(call, _)| columns::uuid(call.0))
        .collect();
    if !removed.is_empty() {
        let delete = "DELETE FROM holds WHERE call = ANY($1)";
        write.execute(sqlx::query(delete).bind(removed)).await?;
    }
    let new: Vec<HoldRecord> = holds.into_values().flatten().collect();
    if new.is_empty() {
        return Ok(());
    }
    let calls: Vec<Vec<u8>> = new.iter().map(|hold| columns::uuid(hold.call.0)).collect();
    let orgs: Vec<i64> = new.iter().map(|hold| hold.org.0).collect();
    let amounts: Vec<i64> = new.iter().map(|hold| hold.amount.nano()).collect();
    // An array of arrays would need rows of one length.
    let subjects: Vec<String> = new.iter().map(subjects).collect();
    let insert = "INSERT INTO holds (call, org_id, amount, subjects, instance_id, epoch)
                  SELECT call, org_id, amount, string_to_array(subjects, ' '), $5, $6
                  FROM unnest($1::BYTEA[], $2::BIGINT[], $3::BIGINT[], $4::TEXT[])
                      AS new (call, org_id, amount, subjects)";
    let statement = sqlx::query(insert)
        .bind(calls)
        .bind(orgs)
        .bind(amounts)
        .bind(subjects)
        .bind(by.epoch.id)
        .bind(by.epoch.epoch);
    write.execute(statement).await.map(drop)
}

/// The names of the budgets that count a hold, separated by blanks.
fn subjects(hold: &HoldRecord) -> String {
    let names: Vec<String> = hold.subjects.iter().copied().map(budget_name).collect();
    names.join(" ")
}

async fn store_spent(write: &mut WriteTx, spent: BTreeMap<OrgId, i128>) -> Result<(), StoreError> {
    let (orgs, sums): (Vec<i64>, Vec<String>) = spent
        .into_iter()
        .map(|(org, nano)| (org.0, nano.to_string()))
        .unzip();
    let update = "UPDATE org_books SET spent = changed.spent
                  FROM unnest($1::BIGINT[], $2::TEXT[]) AS changed (org_id, spent)
                  WHERE org_books.org_id = changed.org_id";
    write
        .execute(sqlx::query(update).bind(orgs).bind(sums))
        .await
        .map(drop)
}

/// Everything that is written for captures beside entries and balances, in one statement: what it refers to is checked
/// at its end.
const CAPTURES: &str = "
    WITH usage AS (
        INSERT INTO usage_records (
            id, call, org_id, project_id, wallet_address, api_key_id, model_id, model_name, provider, input_tokens,
            cached_tokens, output_tokens, reasoning_tokens, estimated, streamed, outcome, request_hash,
            response_hash, started_at, finished_at, charged, lost, spent_before)
        SELECT * FROM unnest(
            $1::BIGINT[], $2::BYTEA[], $3::BIGINT[], $4::BIGINT[], $5::BYTEA[], $6::BIGINT[], $7::BIGINT[],
            $8::TEXT[], $9::TEXT[], $10::BIGINT[], $11::BIGINT[], $12::BIGINT[], $13::BIGINT[], $14::BOOLEAN[],
            $15::BOOLEAN[], $16::TEXT[], $17::BYTEA[], $18::BYTEA[], $19::BIGINT[], $20::BIGINT[], $21::BIGINT[],
            $22::BIGINT[], $23::BIGINT[])
    ), receipt AS (
        INSERT INTO receipts (id, hash, json) SELECT * FROM unnest($1::BIGINT[], $24::BYTEA[], $25::TEXT[])
    )
    INSERT INTO charge_lines (usage_id, position, payee, item, item_id, amount)
    SELECT * FROM unnest($26::BIGINT[], $27::BIGINT[], $28::TEXT[], $29::TEXT[], $30::BIGINT[], $31::BIGINT[])";

/// Entries with their balances, usage records, receipts and lines.
async fn store_captures(write: &mut WriteTx, captures: &[GroupCapture]) -> Result<(), StoreError> {
    let entries = captures.iter().map(|taken| &taken.effects.entry);
    let touched = entries
        .clone()
        .flat_map(Entry::booked)
        .flat_map(|transfer| [transfer.source, transfer.target]);
    let touched: BTreeSet<_> = touched.collect();
    // The group was loaded under the lock of the books.
    let mut accounts = write.lock_account_rows(&touched).await?;
    let mut postings = Postings::on(&accounts);
    for entry in entries.clone() {
        postings.post(entry).map_err(StoreError::new)?;
    }
    let balances: Vec<_> = postings.changed().collect();
    let ids = insert_entries(write, captures).await?;
    write
        .store_transfers(&accounts, ids.iter().copied().zip(entries))
        .await?;
    write.store_balances(&mut accounts, balances).await?;
    let statement = bind_usage(sqlx::query(CAPTURES), &ids, captures);
    let statement = bind_receipts(statement, captures);
    let statement = bind_lines(statement, &ids, captures);
    write.execute(statement).await.map(drop)
}

/// Inserts the entries' rows; returns their numbers, in the order of the captures.
async fn insert_entries(write: &mut WriteTx, captures: &[GroupCapture]) -> Result<Vec<i64>, StoreError> {
    let keys: Vec<String> = captures
        .iter()
        .map(|taken| taken.effects.entry.key.clone())
        .collect();
    let at: Vec<i64> = captures
        .iter()
        .map(|taken| taken.effects.entry.at.micros())
        .collect();
    let insert = "INSERT INTO ledger_transactions (key, at)
                  SELECT key, at FROM unnest($1::TEXT[], $2::BIGINT[]) WITH ORDINALITY AS new (key, at, position)
                  ORDER BY position RETURNING id, key";
    let statement = sqlx::query(insert).bind(keys.clone()).bind(at);
    let mut ids = HashMap::with_capacity(keys.len());
    for row in write.all(statement).await? {
        let columns = Columns::of(&row);
        let key: String = columns.get("ledger_transactions.key")?;
        let id: i64 = columns.get("ledger_transactions.id")?;
        ids.insert(key, id);
    }
    let id = |key| ids.get(key).copied();
    let ids: Option<Vec<i64>> = keys.iter().map(id).collect();
    ids.ok_or(StoreError::inconsistent("ledger_transactions.key"))
}

fn bind_usage(statement: Statement, ids: &[i64], captures: &[GroupCapture]) -> Statement {
    fn each<T>(captures: &[GroupCapture], of: impl Fn(&GroupCapture) -> T) -> Vec<T> {
        captures.iter().map(of).collect()
    }
    let tokens = |of: fn(&GroupCapture) -> u64| each(captures, |taken| counted(of(taken)));
    statement
        .bind(ids.to_vec())
        .bind(each(captures, |taken| columns::uuid(taken.capture.call.0)))
        .bind(each(captures, |taken| taken.capture.org.0))
        .bind(each(captures, |taken| taken.capture.usage.project.0))
        .bind(each(captures, |taken| {
            columns::address(taken.capture.usage.wallet)
        }))
        .bind(each(captures, |taken| {
            taken.capture.usage.api_key.map(|key| key.0)
        }))
        .bind(each(captures, |taken| taken.capture.usage.model.0))
        .bind(each(captures, |taken| {
            text(taken.capture.usage.model_name.as_str())
        }))
        .bind(each(captures, |taken| {
            text(taken.capture.usage.provider.as_str())
        }))
        .bind(tokens(|taken| taken.capture.usage.tokens.input))
        .bind(tokens(|taken| taken.capture.usage.tokens.cached))
        .bind(tokens(|taken| taken.capture.usage.tokens.output))
        .bind(tokens(|taken| taken.capture.usage.tokens.reasoning))
        .bind(each(captures, |taken| taken.capture.usage.estimated))
        .bind(each(captures, |taken| taken.capture.usage.streamed))
        .bind(each(captures, |taken| {
            outcome(taken.capture.usage.outcome).to_owned()
        }))
        .bind(each(captures, |taken| taken.capture.usage.request_hash.to_vec()))
        .bind(each(captures, |taken| taken.capture.usage.response_hash.to_vec()))
        .bind(each(captures, |taken| taken.capture.usage.started_at.micros()))
        .bind(each(captures, |taken| taken.capture.usage.finished_at.micros()))
        .bind(each(captures, |taken| taken.captured.charged.nano()))
        .bind(each(captures, |taken| taken.captured.lost.nano()))
        .bind(each(captures, |taken| taken.captured.spent_before.nano()))
}

/// A provider may report any number; one beyond 63 bits must not harm the group.
pub(super) fn counted(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

const fn outcome(outcome: CallOutcome) -> &'static str {
    match outcome {
        CallOutcome::Complete => "complete",
        CallOutcome::Partial => "partial",
        CallOutcome::Aborted => "aborted",
    }
}

fn bind_receipts(statement: Statement, captures: &[GroupCapture]) -> Statement {
    let receipts = captures.iter().map(|taken| &taken.effects.receipt);
    let hashes: Vec<Vec<u8>> = receipts.clone().map(|receipt| receipt.hash.to_vec()).collect();
    let json: Vec<String> = receipts.map(|receipt| receipt.json.clone()).collect();
    statement.bind(hashes).bind(json)
}

fn bind_lines(statement: Statement, ids: &[i64], captures: &[GroupCapture]) -> Statement {
    let (mut usage, mut positions, mut payees) = (Vec::new(), Vec::<i64>::new(), Vec::new());
    let (mut items, mut item_ids, mut amounts) = (Vec::new(), Vec::new(), Vec::new());
    for (id, taken) in ids.iter().zip(captures) {
        for (position, line) in (0..).zip(&taken.effects.lines) {
            let (item, item_id) = match line.item {
                LineItem::ModelCall => ("model_call", None),
                LineItem::ModelTokens => ("model_tokens", None),
                LineItem::Product(product) => ("product", Some(product.0)),
                LineItem::Project(project) => ("project", Some(project.0)),
            };
            usage.push(*id);
            positions.push(position);
            payees.push(columns::payee(line.payee));
            items.push(item.to_owned());
            item_ids.push(item_id);
            amounts.push(line.amount.nano());
        }
    }
    statement
        .bind(usage)
        .bind(positions)
        .bind(payees)
        .bind(items)
        .bind(item_ids)
        .bind(amounts)
}
