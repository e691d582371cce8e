//! Deposits: token transfers to an organization's contract that are not settlement, and what its
//! address held when the contract was created there.

use super::{Stored, read_event, select_events, step::Indexing};
use crate::columns::{self, Columns};
use haithe_billing::{
    chain::EventBody,
    ledger::{Account, Entry, Transfer},
};
use haithe_kernel::{OrgId, StoreError, TokenUnits, Usdt, WalletAddress};
use sqlx::sqlite::SqliteRow;

/// Notes a deposit. It counts once its block is confirmed.
///
/// A transfer in a transaction that settles one of our batches is part of that settlement. One that
/// a withdrawal of another organization caused is a deposit here all the same: it arrived.
pub(super) async fn see(indexing: &mut Indexing<'_, '_>, stored: &Stored) -> Result<(), StoreError> {
    let (EventBody::Transfer { to, .. } | EventBody::OrganizationFunded { org: to, .. }) = stored.event.body
    else {
        return Ok(());
    };
    match indexing.org_at(to).await? {
        Some(org) => note(indexing, stored, org, 0).await,
        None => Ok(()),
    }
}

/// Notes what reached an address before its organization was seen there; it counts from the block
/// that made the organization.
pub(super) async fn see_earlier(
    indexing: &mut Indexing<'_, '_>,
    org: OrgId,
    address: WalletAddress,
    created: i64,
) -> Result<(), StoreError> {
    let earlier = select_events!(
        "WHERE subject = ? AND kind IN ('transfer', 'organization_funded') ORDER BY block, log_index"
    );
    for row in indexing
        .write
        .all(sqlx::query(earlier).bind(columns::address(address)))
        .await?
    {
        note(indexing, &read_event(&row)?, org, created).await?;
    }
    Ok(())
}

async fn note(
    indexing: &mut Indexing<'_, '_>,
    stored: &Stored,
    org: OrgId,
    not_before: i64,
) -> Result<(), StoreError> {
    let units = match stored.event.body {
        EventBody::Transfer { to, .. } if precedes_creation(indexing, stored, to).await? => return Ok(()),
        EventBody::Transfer { amount, .. } | EventBody::OrganizationFunded { amount, .. } => amount,
        _ => return Ok(()),
    };
    let settles = "SELECT id FROM chain_events WHERE tx = ? AND kind = 'batch_settled'";
    let settles = indexing
        .write
        .optional(sqlx::query(settles).bind(stored.event.tx.to_vec()))
        .await?;
    // A transfer of nothing, which anybody can make in any number, is nothing.
    if settles.is_some() || units == Some(0) {
        return Ok(());
    }
    let money = indexing.scale.money(units);
    if money.is_none() {
        let (org, event) = (org.0, stored.name());
        tracing::warn!(
            org,
            event,
            "a deposit is beyond the range of money and is not credited"
        );
    }
    let insert = "INSERT INTO deposits (id, org_id, block, units, amount, dust) VALUES (?, ?, ?, ?, ?, ?)
                  ON CONFLICT DO NOTHING";
    let statement = sqlx::query(insert)
        .bind(stored.id)
        .bind(org.0)
        .bind(stored.block()?.max(not_before))
        .bind(units.map(|units| units.to_string()))
        .bind(money.map(|(amount, _)| amount.nano()))
        .bind(money.map_or(Ok(0), |(_, dust)| columns::number(dust, "deposits.dust"))?);
    indexing.write.execute(statement).await?;
    indexing.touched.insert(org);
    Ok(())
}

/// Whether a transfer reached the address before the organization was created there. The creation
/// reports the whole balance of the address (`OrganizationFunded`), so it does not count by itself.
async fn precedes_creation(
    indexing: &mut Indexing<'_, '_>,
    stored: &Stored,
    address: WalletAddress,
) -> Result<bool, StoreError> {
    let created = "SELECT 1 FROM chain_events WHERE kind = 'organization_created' AND subject = ?
                   AND (block, log_index) > (?, ?)";
    let statement = sqlx::query(created)
        .bind(columns::address(address))
        .bind(stored.block()?)
        .bind(columns::number(stored.event.log_index, "chain_events.log_index")?);
    Ok(indexing.write.optional(statement).await?.is_some())
}

/// Books every deposit up to this block.
pub(super) async fn confirm(indexing: &mut Indexing<'_, '_>, confirmed: i64) -> Result<(), StoreError> {
    let ready = "SELECT id, org_id, block, amount, dust FROM deposits
                 WHERE confirmed = 0 AND amount IS NOT NULL AND block <= ? ORDER BY block, id";
    for row in indexing.write.all(sqlx::query(ready).bind(confirmed)).await? {
        book(indexing, &row).await?;
    }
    Ok(())
}

async fn book(indexing: &mut Indexing<'_, '_>, row: &SqliteRow) -> Result<(), StoreError> {
    let mut columns = Columns::of(row);
    let id: i64 = columns.read("deposits.id")?;
    let org: OrgId = columns.read("deposits.org_id")?;
    let block: u64 = columns.read("deposits.block")?;
    let amount: Usdt = columns.read("deposits.amount")?;
    let dust: i64 = columns.read("deposits.dust")?;
    let event = select_events!("WHERE id = ?");
    let event = indexing.write.optional(sqlx::query(event).bind(id)).await?;
    let stored = read_event(&event.ok_or(StoreError::inconsistent("deposits.id"))?)?;
    indexing.touched.insert(org);

    let chain = indexing.write.account_balance(Account::ChainOrg(org)).await?;
    let available = indexing.write.account_balance(Account::Available(org)).await?;
    let fits = chain.checked_sub(amount.nano()).is_some() && available.checked_add(amount.nano()).is_some();
    if !fits {
        let unbook = "UPDATE deposits SET amount = NULL WHERE id = ?";
        indexing.write.execute(sqlx::query(unbook).bind(id)).await?;
        let detail = format!("a deposit would take organization {org} beyond the range of money");
        return indexing
            .write
            .alarm("deposit_out_of_range", &stored, detail)
            .await;
    }
    if amount > Usdt::ZERO {
        let entry = Entry {
            key: format!("deposit/{}", stored.name()),
            at: stored.event.block_time,
            block: Some(block),
            transfers: vec![Transfer::new(
                Account::ChainOrg(org),
                Account::Available(org),
                amount,
            )],
        };
        indexing.write.book(entry).await?;
    }
    indexing
        .write
        .execute(sqlx::query("UPDATE deposits SET confirmed = 1 WHERE id = ?").bind(id))
        .await?;
    let keep = "UPDATE org_books SET dust = dust + ? WHERE org_id = ?";
    indexing
        .write
        .execute(sqlx::query(keep).bind(dust).bind(org.0))
        .await?;
    readmit(indexing, org).await?;

    indexing.effects.deposits_confirmed += 1;
    let dust = TokenUnits::new(dust.unsigned_abs().into());
    indexing.effects.dust = indexing
        .effects
        .dust
        .checked_add(dust)
        .unwrap_or(indexing.effects.dust);
    Ok(())
}

/// A deposit that covers everything unsettled ends the count of lines skipped for want of money.
async fn readmit(indexing: &mut Indexing<'_, '_>, org: OrgId) -> Result<(), StoreError> {
    let chain = indexing.write.account_balance(Account::ChainOrg(org)).await?;
    let unsettled = indexing.write.account_balance(Account::Unsettled(org)).await?;
    if chain.saturating_neg() >= unsettled {
        indexing.write.forget_skips(org, "insufficient_funds").await?;
    }
    Ok(())
}
