//! Which books a transaction of the index locks before it begins, so that it waits for captures and they for it in one
//! order of organizations. A rule that asks for more locks more, later.

use crate::{
    columns::{self, Columns},
    write::WriteTx,
};
use haithe_billing::{
    capture::Payee,
    chain::{EventBody, IndexStep},
};
use haithe_kernel::{OrgId, StoreError};
use std::collections::BTreeSet;

/// Organizations that a step may be about: those at the addresses of its events, and those with deposits, requests
/// and batches that may count from now on.
const OF_STEP: &str = "
    SELECT id AS org_id FROM organizations WHERE address = ANY($1)
    UNION SELECT org_id FROM deposits WHERE NOT confirmed AND amount IS NOT NULL AND block <= $4
    UNION SELECT org_id FROM withdrawals WHERE booked IS NULL AND ended_block <= $3
    UNION
    SELECT line.org_id FROM batch_lines AS line JOIN batches ON batches.seq = line.seq
    WHERE batches.seq = ANY($2) OR (NOT batches.final AND batches.settled_block <= $3)";

/// Payees of the batches that a step may be about.
const PAYEES: &str = "
    SELECT credit.payee FROM batch_credits AS credit JOIN batches ON batches.seq = credit.seq
    WHERE credit.payee <> 'platform'
      AND (batches.seq = ANY($1) OR (NOT batches.final AND batches.settled_block <= $2))
    UNION
    SELECT payout.payee FROM batch_payouts AS payout JOIN batches ON batches.seq = payout.seq
    WHERE batches.seq = ANY($1) OR (NOT batches.final AND batches.settled_block <= $2)";

/// Locks the books that a step may change.
pub(super) async fn lock_for(write: &mut WriteTx, step: &IndexStep) -> Result<BTreeSet<OrgId>, StoreError> {
    let (mut subjects, mut batches) = (Vec::new(), Vec::new());
    for event in &step.events {
        subjects.extend(event.body.subject().map(columns::address));
        if let EventBody::Transfer { from, .. } = event.body {
            subjects.push(columns::address(from));
        }
        if let EventBody::BatchSettled { seq, .. } | EventBody::LineSkipped { seq, .. } = event.body {
            batches.push(columns::number(seq, "batches.seq")?);
        }
    }
    let last_final = columns::number(step.last_final, "batches.settled_block")?;
    let of_step = sqlx::query(OF_STEP)
        .bind(subjects)
        .bind(batches.clone())
        .bind(last_final)
        .bind(columns::number(step.confirmed, "deposits.block")?);
    let mut orgs = BTreeSet::new();
    for row in write.all(of_step).await? {
        orgs.insert(Columns::of(&row).get("organizations.org_id")?);
    }
    let payees = sqlx::query(PAYEES).bind(batches).bind(last_final);
    for row in write.all(payees).await? {
        if let Payee::Organization(org) = Columns::of(&row).get("batch_credits.payee")? {
            orgs.insert(org);
        }
    }
    write.lock_books(orgs).await
}

/// Locks all books.
pub(super) async fn lock_all(write: &mut WriteTx) -> Result<BTreeSet<OrgId>, StoreError> {
    let lock = "SELECT org_id FROM org_books ORDER BY org_id FOR UPDATE";
    let rows = write.all(sqlx::query(lock)).await?;
    rows.iter()
        .map(|row| Columns::of(row).get("org_books.org_id"))
        .collect()
}
