//! Sums of captures: of all time by key and by project, and of the windows of keys' budgets.

use crate::{columns, columns::Columns, write::WriteTx};
use haithe_billing::{
    hold::BudgetSubject,
    ledger::{SpendingSubject, SpendingSum, SpendingSums},
};
use haithe_kernel::{StoreError, Timestamp};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Windows kept per key; those that began last stay.
const WINDOWS_PER_KEY: i64 = 4;

/// The start of all time.
const ALWAYS: i64 = i64::MIN;

/// What was captured in windows of budgets, in nano-USDT.
pub(super) type Windows = HashMap<(BudgetSubject, Timestamp), i128>;

/// Locks the rows of keys and loads the sums of the subjects that are charged and of the keys with windows, and what
/// was captured in each window. The books of the payers and the projects with windows are locked before.
pub(super) async fn load(
    write: &mut WriteTx,
    charged: &BTreeSet<SpendingSubject>,
    windows: &HashSet<(BudgetSubject, Timestamp)>,
) -> Result<(SpendingSums, Windows), StoreError> {
    let mut subjects = charged.clone();
    for (subject, _) in windows {
        if let BudgetSubject::ApiKey(key) = subject {
            subjects.insert(SpendingSubject::ApiKey(*key));
        }
    }
    let mut sums = SpendingSums::default();
    let mut read = Windows::new();
    if subjects.is_empty() && windows.is_empty() {
        return Ok((sums, read));
    }
    let is_key = |subject: &&SpendingSubject| matches!(subject, SpendingSubject::ApiKey(_));
    let keys: Vec<String> = subjects
        .iter()
        .filter(is_key)
        .map(SpendingSubject::to_string)
        .collect();
    lock(write, keys).await?;
    let names: Vec<String> = subjects.iter().map(SpendingSubject::to_string).collect();
    let stored = "SELECT subject, since, spent FROM spending WHERE subject = ANY($1)";
    for row in write.all(sqlx::query(stored).bind(names)).await? {
        let columns = Columns::of(&row);
        let since: i64 = columns.get("spending.since")?;
        sums.add(SpendingSum {
            subject: columns.get("spending.subject")?,
            since: (since != ALWAYS).then_some(Timestamp::from_micros(since)),
            nano: columns.get("spending.spent")?,
        });
    }
    let mut opened = BTreeSet::new();
    for (subject, since) in windows {
        let nano = match subject {
            BudgetSubject::ApiKey(key) => {
                let of_key = SpendingSubject::ApiKey(*key);
                match sums.get(of_key, Some(*since)) {
                    Some(nano) => nano,
                    None => {
                        let nano = if sums.get(of_key, None).unwrap_or(0) == 0 {
                            0
                        } else {
                            captured(write, OF_KEY, key.0, *since).await?
                        };
                        opened.insert(of_key);
                        sums.add_new(SpendingSum {
                            subject: of_key,
                            since: Some(*since),
                            nano,
                        });
                        nano
                    }
                }
            }
            BudgetSubject::Project(project) => captured(write, OF_PROJECT, project.0, *since).await?,
        };
        read.insert((*subject, *since), nano);
    }
    forget_old_windows(write, opened).await?;
    Ok((sums, read))
}

/// Locks the rows of all time, which new subjects get before.
async fn lock(write: &mut WriteTx, names: Vec<String>) -> Result<(), StoreError> {
    if names.is_empty() {
        return Ok(());
    }
    let lock =
        "SELECT subject FROM spending WHERE subject = ANY($1) AND since = $2 ORDER BY subject FOR UPDATE";
    let locking = |names: &Vec<String>| sqlx::query(lock).bind(names.clone()).bind(ALWAYS);
    if write.all(locking(&names)).await?.len() < names.len() {
        let insert = "INSERT INTO spending (subject, since, spent)
                      SELECT subject, $2, '0' FROM unnest($1::TEXT[]) AS new (subject) ORDER BY subject
                      ON CONFLICT DO NOTHING";
        write
            .execute(sqlx::query(insert).bind(names.clone()).bind(ALWAYS))
            .await?;
        write.all(locking(&names)).await?;
    }
    Ok(())
}

/// Sums of halves: a sum in 64 bits could overflow.
const OF_KEY: &str = "
    SELECT coalesce(sum(charged >> 32), 0)::BIGINT AS high, coalesce(sum(charged & 4294967295), 0)::BIGINT AS low
    FROM usage_records WHERE api_key_id = $1 AND finished_at >= $2";
/// No call brings its project's budget along, so that no index serves this.
const OF_PROJECT: &str = "
    SELECT coalesce(sum(charged >> 32), 0)::BIGINT AS high, coalesce(sum(charged & 4294967295), 0)::BIGINT AS low
    FROM usage_records WHERE project_id = $1 AND finished_at >= $2";

async fn captured(
    write: &mut WriteTx,
    sql: &'static str,
    id: i64,
    since: Timestamp,
) -> Result<i128, StoreError> {
    let row = write.one(sqlx::query(sql).bind(id).bind(since.micros())).await?;
    columns::halves(&Columns::of(&row), "usage_records.charged")
}

/// Stores sums that changed. Of a key's windows those that began last stay.
pub(super) async fn store(write: &mut WriteTx, sums: &[SpendingSum]) -> Result<(), StoreError> {
    if sums.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = sums.iter().map(|sum| sum.subject.to_string()).collect();
    let since: Vec<i64> = sums
        .iter()
        .map(|sum| sum.since.map_or(ALWAYS, Timestamp::micros))
        .collect();
    let spent: Vec<String> = sums.iter().map(|sum| sum.nano.to_string()).collect();
    let upsert = "INSERT INTO spending (subject, since, spent)
                  SELECT * FROM unnest($1::TEXT[], $2::BIGINT[], $3::TEXT[])
                  ON CONFLICT (subject, since) DO UPDATE SET spent = excluded.spent";
    let statement = sqlx::query(upsert).bind(names).bind(since).bind(spent);
    write.execute(statement).await.map(drop)
}

/// Deletes the windows of these keys that are not among the last ones to begin. One that is needed again is summed
/// again.
async fn forget_old_windows(write: &mut WriteTx, keys: BTreeSet<SpendingSubject>) -> Result<(), StoreError> {
    let names: Vec<String> = keys.into_iter().map(|subject| subject.to_string()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let delete = "DELETE FROM spending AS old
                  WHERE subject = ANY($1) AND since > $2
                    AND (SELECT count(*) FROM spending AS newer
                         WHERE newer.subject = old.subject AND newer.since > old.since) >= $3";
    let statement = sqlx::query(delete).bind(names).bind(ALWAYS).bind(WINDOWS_PER_KEY);
    write.execute(statement).await.map(drop)
}
