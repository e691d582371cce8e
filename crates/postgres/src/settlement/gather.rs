//! Reading what waits for a batch, as [`Gathering`] asks for it.

use super::{carry, escrow};
use crate::{ledger::read::ReadRows, reads::read_each};
use haithe_billing::{
    batch::{GatherRead, Gathered, Gathering, WaitingCall},
    capture::Payee,
};
use haithe_kernel::{OrgId, StoreError, Usdt, WalletAddress};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Waiting calls looked through at a time: their numbers and organizations only.
const PAGE: usize = 4096;

const WAITING: &str = "
    SELECT id, org_id FROM usage_records
    WHERE batch_seq IS NULL AND charged > 0 AND id > $1 ORDER BY id LIMIT $2";
const CALLS: &str = "
    SELECT usage_records.id, usage_records.call, usage_records.org_id, organizations.address, receipts.hash,
           usage_records.finished_at, usage_records.skipped
    FROM usage_records
    JOIN organizations ON organizations.id = usage_records.org_id
    JOIN receipts ON receipts.id = usage_records.id
    WHERE usage_records.id = ANY($1) ORDER BY usage_records.id";
const LINES: &str = "
    SELECT usage_id, payee, amount FROM charge_lines WHERE usage_id = ANY($1) ORDER BY usage_id, position";
const CONTRACTS: &str = "SELECT id, address FROM organizations WHERE id = ANY($1)";

/// Gathers what the next batch is built from. Calls are placed by the numbers of their usage records.
pub(super) async fn gather(
    from: &mut impl ReadRows,
    mut gathering: Gathering<i64>,
) -> Result<Gathered<i64>, StoreError> {
    while let Some(read) = gathering.next_read() {
        match read {
            GatherRead::Waiting { after } => {
                let calls = waiting(from, after.unwrap_or(i64::MIN)).await?;
                let is_last = calls.len() < PAGE;
                gathering.waiting(calls, is_last);
            }
            GatherRead::Calls(usage) => {
                let carry = carry::of_calls(from, &usage).await?;
                let calls = calls(from, usage).await?;
                gathering.calls(calls, &carry).map_err(StoreError::new)?;
            }
            GatherRead::Escrow => gathering.escrow(escrow::accounts(from).await?),
            GatherRead::Overdue(overdue) => gathering.overdue(carry::overdue(from, &overdue).await?),
        }
    }
    let contracts = contracts(from, gathering.contracts()).await?;
    Ok(gathering.finish(&contracts))
}

/// The next waiting calls, oldest first, and who pays for them.
async fn waiting(from: &mut impl ReadRows, after: i64) -> Result<Vec<(i64, OrgId)>, StoreError> {
    let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
    let page = sqlx::query(WAITING).bind(after).bind(limit);
    read_each(from, page, |columns| {
        Ok((
            columns.get("usage_records.id")?,
            columns.get("usage_records.org_id")?,
        ))
    })
    .await
}

/// These calls in full.
async fn calls(from: &mut impl ReadRows, usage: Vec<i64>) -> Result<Vec<(i64, WaitingCall)>, StoreError> {
    let mut lines = lines(from, usage.clone()).await?;
    read_each(from, sqlx::query(CALLS).bind(usage), |columns| {
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
    from: &mut impl ReadRows,
    usage: Vec<i64>,
) -> Result<HashMap<i64, Vec<(Payee, Usdt)>>, StoreError> {
    let mut lines: HashMap<i64, Vec<(Payee, Usdt)>> = HashMap::with_capacity(usage.len());
    read_each(from, sqlx::query(LINES).bind(usage), |columns| {
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

async fn contracts(
    from: &mut impl ReadRows,
    orgs: BTreeSet<OrgId>,
) -> Result<BTreeMap<OrgId, WalletAddress>, StoreError> {
    let orgs: Vec<i64> = orgs.into_iter().map(|org| org.0).collect();
    let contracts = read_each(from, sqlx::query(CONTRACTS).bind(orgs), |columns| {
        Ok((
            columns.get("organizations.id")?,
            columns.get("organizations.address")?,
        ))
    });
    Ok(contracts.await?.into_iter().collect())
}
