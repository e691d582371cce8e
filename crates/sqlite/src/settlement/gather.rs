//! Reading what waits for a batch, as [`Gathering`] asks for it.

use super::{carry, escrow};
use crate::{
    columns::{Columns, json_list, read_each},
    db::Statement,
};
use haithe_billing::{
    batch::{GatherRead, Gathered, Gathering, WaitingCall},
    capture::Payee,
};
use haithe_kernel::{OrgId, StoreError, Usdt, WalletAddress};
use sqlx::SqliteConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Waiting calls looked through at a time: their numbers and organizations only.
const PAGE: usize = 4096;

/// Gathers what the next batch is built from. Calls are placed by the numbers of their usage records.
pub(super) async fn gather(
    connection: &mut SqliteConnection,
    mut gathering: Gathering<i64>,
) -> Result<Gathered<i64>, StoreError> {
    while let Some(read) = gathering.next_read() {
        match read {
            GatherRead::Waiting { after } => {
                let calls = waiting(connection, after.unwrap_or(i64::MIN)).await?;
                let is_last = calls.len() < PAGE;
                gathering.waiting(calls, is_last);
            }
            GatherRead::Calls(usage) => {
                let carry = carry::of_calls(connection, &usage).await?;
                let calls = calls(connection, &usage).await?;
                gathering.calls(calls, &carry).map_err(StoreError::new)?;
            }
            GatherRead::Escrow => gathering.escrow(escrow::accounts(connection).await?),
            GatherRead::Overdue(overdue) => gathering.overdue(carry::overdue(connection, &overdue).await?),
        }
    }
    let contracts = contracts(connection, gathering.contracts()).await?;
    Ok(gathering.finish(&contracts))
}

/// The next waiting calls, oldest first, and who pays for them.
async fn waiting(connection: &mut SqliteConnection, after: i64) -> Result<Vec<(i64, OrgId)>, StoreError> {
    let page = "SELECT id, org_id FROM usage_records
                WHERE batch_seq IS NULL AND charged > 0 AND id > ? ORDER BY id LIMIT ?";
    let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
    let statement = sqlx::query(page).bind(after).bind(limit);
    read_each(connection, statement, |columns| {
        Ok((
            columns.get("usage_records.id")?,
            columns.get("usage_records.org_id")?,
        ))
    })
    .await
}

/// These calls in full.
async fn calls(
    connection: &mut SqliteConnection,
    usage: &[i64],
) -> Result<Vec<(i64, WaitingCall)>, StoreError> {
    let chosen = "SELECT usage_records.id AS id, usage_records.call AS call, usage_records.org_id AS org_id,
                         organizations.address AS address, receipts.hash AS hash,
                         usage_records.finished_at AS finished_at, usage_records.skipped AS skipped
                  FROM json_each(?) AS chosen
                  CROSS JOIN usage_records ON usage_records.id = chosen.value
                  JOIN organizations ON organizations.id = usage_records.org_id
                  JOIN receipts ON receipts.id = usage_records.id";
    let mut lines = lines(connection, usage).await?;
    read_each(connection, chosen_by(chosen, usage), |columns| {
        let id: i64 = columns.get("usage_records.id")?;
        let call = WaitingCall {
            call: columns.get("usage_records.call")?,
            org: columns.get("usage_records.org_id")?,
            org_address: columns.get("organizations.address")?,
            lines: lines.remove(&id).unwrap_or_default(),
            receipt_hash: columns.get("receipts.hash")?,
            charged_at: columns.get("usage_records.finished_at")?,
            was_skipped: columns.get("usage_records.skipped")?,
        };
        Ok((id, call))
    })
    .await
}

/// The lines of each call's charge.
async fn lines(
    connection: &mut SqliteConnection,
    usage: &[i64],
) -> Result<HashMap<i64, Vec<(Payee, Usdt)>>, StoreError> {
    let select = "SELECT usage_id, payee, amount
                  FROM json_each(?) AS chosen CROSS JOIN charge_lines ON usage_id = chosen.value";
    let mut lines: HashMap<i64, Vec<(Payee, Usdt)>> = HashMap::with_capacity(usage.len());
    read_each(connection, chosen_by(select, usage), |columns| {
        let id = columns.get("charge_lines.usage_id")?;
        let line = (
            columns.get("charge_lines.payee")?,
            columns.get("charge_lines.amount")?,
        );
        lines.entry(id).or_default().push(line);
        Ok(())
    })
    .await?;
    Ok(lines)
}

fn chosen_by(select: &'static str, numbers: &[i64]) -> Statement {
    sqlx::query(select).bind(json_list(numbers.iter().copied()))
}

async fn contracts(
    connection: &mut SqliteConnection,
    orgs: BTreeSet<OrgId>,
) -> Result<BTreeMap<OrgId, WalletAddress>, StoreError> {
    let addresses = "SELECT id, address FROM organizations WHERE id IN (SELECT value FROM json_each(?))";
    let orgs = json_list(orgs.into_iter().map(|org| org.0));
    let rows = sqlx::query(addresses)
        .bind(orgs)
        .fetch_all(connection)
        .await
        .map_err(StoreError::new)?;
    rows.iter()
        .map(|row| {
            let columns = Columns::of(row);
            Ok((
                columns.get("organizations.id")?,
                columns.get("organizations.address")?,
            ))
        })
        .collect()
}
