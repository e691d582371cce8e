//! Rows of an organization: itself, its owner, its daily cap.

use super::{Stored, deposits, step::Indexing};
use crate::{
    columns::{self, Columns},
    ledger::load::org_money,
};
use haithe_billing::{
    chain::{ChainAmount, EventBody, Hash32},
    ledger::Account,
};
use haithe_kernel::{OrgId, OrgUid, StoreError, WalletAddress};
use haithe_orgs::model::NOBODY;
use sha2::{Digest, Sha256};
use uuid::Builder;

pub(super) async fn create(indexing: &mut Indexing<'_, '_>, stored: &Stored) -> Result<(), StoreError> {
    let EventBody::OrganizationCreated {
        index,
        org: address,
        owner,
        name,
    } = &stored.event.body
    else {
        return Ok(());
    };
    // Somebody else's at this address, from a branch that is gone, makes way.
    let gone = "UPDATE organizations SET on_chain = 0 WHERE address = ? AND created_tx <> ? AND on_chain = 1";
    let statement = sqlx::query(gone)
        .bind(columns::address(*address))
        .bind(stored.event.tx.to_vec());
    indexing.write.execute(statement).await?;

    let uid = uid(indexing, *address, &stored.event.tx).await?;
    let insert = "INSERT INTO organizations
                      (organization_uid, address, created_tx, orchestrator_index, chain_name, name, owner,
                       created_at, created_block, on_chain)
                  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)
                  ON CONFLICT (address, created_tx) DO UPDATE SET
                      orchestrator_index = excluded.orchestrator_index, owner = excluded.owner,
                      created_at = excluded.created_at, created_block = excluded.created_block, on_chain = 1
                  RETURNING id";
    let number = columns::number(index.saturating_add(1), "organizations.orchestrator_index")?;
    let statement = sqlx::query(insert)
        .bind(columns::uuid(uid.uuid()))
        .bind(columns::address(*address))
        .bind(stored.event.tx.to_vec())
        .bind(number)
        .bind(name.clone())
        .bind(name.clone())
        .bind(columns::address(*owner))
        .bind(stored.event.block_time.micros())
        .bind(stored.block()?);
    let row = indexing.write.optional(statement).await?;
    let row = row.ok_or(StoreError::inconsistent("organizations.id"))?;
    let org: OrgId = Columns::of(&row).read("organizations.id")?;
    open_books(indexing, org).await?;
    indexing.write.directory_changed();
    indexing.touched.insert(org);
    deposits::see_earlier(indexing, org, *address, stored.block()?).await
}

/// Accounts and books of a new organization; of one seen before they are there already.
async fn open_books(indexing: &mut Indexing<'_, '_>, org: OrgId) -> Result<(), StoreError> {
    let open = "INSERT INTO org_books (org_id) VALUES (?) ON CONFLICT DO NOTHING";
    if indexing.write.execute(sqlx::query(open).bind(org.0)).await? == 0 {
        return Ok(());
    }
    for account in [
        Account::ChainOrg(org),
        Account::Available(org),
        Account::Unsettled(org),
        Account::Withdrawing(org),
    ] {
        indexing.write.account(account).await?;
    }
    let money = org_money(indexing.write.connection, org, indexing.scale).await?;
    indexing.write.effects.new_orgs.push((org, money));
    Ok(())
}

/// An organization's public identifier follows from where it was created, so that an index built
/// anew gives the same ones.
async fn uid(
    indexing: &mut Indexing<'_, '_>,
    address: WalletAddress,
    created_tx: &Hash32,
) -> Result<OrgUid, StoreError> {
    let row = indexing
        .write
        .optional(sqlx::query("SELECT chain_id, orchestrator FROM chain_binding"))
        .await?;
    let row = row.ok_or(StoreError::inconsistent("chain_binding.id"))?;
    let mut columns = Columns::of(&row);
    let chain: i64 = columns.read("chain_binding.chain_id")?;
    let orchestrator: WalletAddress = columns.read("chain_binding.orchestrator")?;
    let digest = Sha256::new()
        .chain_update(b"haithe organization")
        .chain_update(chain.to_be_bytes())
        .chain_update(orchestrator.as_bytes())
        .chain_update(address.as_bytes())
        .chain_update(created_tx)
        .finalize();
    let bytes = digest.first_chunk::<16>().copied().unwrap_or_default();
    Ok(OrgUid::new(Builder::from_custom_bytes(bytes).into_uuid()))
}

pub(super) async fn owner(
    indexing: &mut Indexing<'_, '_>,
    org: WalletAddress,
    to: WalletAddress,
) -> Result<(), StoreError> {
    let update =
        "UPDATE organizations SET owner = ?, pending_owner = NULL WHERE address = ? AND on_chain = 1";
    let statement = sqlx::query(update)
        .bind(columns::address(to))
        .bind(columns::address(org));
    indexing.write.execute(statement).await?;
    indexing.write.directory_changed();
    Ok(())
}

/// Ownership was offered, or, to the zero address, the offer taken back.
pub(super) async fn offered(
    indexing: &mut Indexing<'_, '_>,
    org: WalletAddress,
    to: WalletAddress,
) -> Result<(), StoreError> {
    let update = "UPDATE organizations SET pending_owner = ? WHERE address = ? AND on_chain = 1";
    let statement = sqlx::query(update)
        .bind((to != NOBODY).then(|| columns::address(to)))
        .bind(columns::address(org));
    indexing.write.execute(statement).await.map(drop)
}

/// The tightest cap now or scheduled is always the newest one: a raise holds at once and drops what
/// was scheduled, and a cut is below what is in force.
pub(super) async fn daily_cap(
    indexing: &mut Indexing<'_, '_>,
    address: WalletAddress,
    cap: ChainAmount,
) -> Result<(), StoreError> {
    let Some(org) = indexing.org_at(address).await? else {
        return Ok(());
    };
    let cap = cap.filter(|cap| *cap < u128::MAX);
    let update = "UPDATE org_books SET daily_cap = ? WHERE org_id = ?";
    let statement = sqlx::query(update)
        .bind(cap.map(|cap| cap.to_string()))
        .bind(org.0);
    indexing.write.execute(statement).await?;
    let unsettled = indexing.write.account_balance(Account::Unsettled(org)).await?;
    if indexing
        .scale
        .money(cap)
        .is_none_or(|(cap, _)| cap.nano() >= unsettled)
    {
        indexing.write.forget_skips(org, "daily_cap").await?;
    }
    indexing.touched.insert(org);
    Ok(())
}

/// Takes back what events said about the organization at this address, before they are replayed.
pub(super) async fn forget(
    indexing: &mut Indexing<'_, '_>,
    address: WalletAddress,
) -> Result<(), StoreError> {
    let Some(org) = indexing.org_at(address).await? else {
        return Ok(());
    };
    for forget in [
        "UPDATE organizations SET on_chain = 0, pending_owner = NULL WHERE id = ?",
        "UPDATE org_books SET daily_cap = NULL WHERE org_id = ?",
        "DELETE FROM org_products WHERE org_id = ?",
    ] {
        indexing.write.execute(sqlx::query(forget).bind(org.0)).await?;
    }
    indexing.write.directory_changed();
    indexing.touched.insert(org);
    Ok(())
}
