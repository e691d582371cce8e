//! Withdrawals: frozen at first sight, ended when the end is final.
//!
//! A request freezes its whole amount, also against later deposits. It ends by being executed, by
//! being cancelled, or by its window passing without either; each frees what is left once it is
//! final. A request for more than the ledger can count (an owner who asks for "everything" as 2²⁵⁶−1)
//! freezes what there is and halts all spending until it has ended.

use super::{Stored, pauses, read_event, select_events, step::Indexing};
use crate::columns::{self, Columns};
use haithe_billing::{
    chain::{ChainAmount, EventBody},
    ledger::{Account, Entry, Transfer},
    treasury::WITHDRAWAL_WINDOW,
};
use haithe_kernel::{OrgId, StoreError, Timestamp, Usdt, WalletAddress};
use sqlx::sqlite::SqliteRow;

/// All requests of an organization together freeze at most this much, in nano-USDT: far beyond any
/// balance, and far from the end of the range.
const MOST_FROZEN: i64 = 1 << 62;

pub(super) async fn see(indexing: &mut Indexing<'_, '_>, stored: &Stored) -> Result<(), StoreError> {
    match &stored.event.body {
        EventBody::WithdrawalRequested {
            org,
            amount,
            ready_at,
            ..
        } => freeze(indexing, stored, *org, *amount, *ready_at).await,
        EventBody::WithdrawalExecuted { org, amount, .. } => {
            end(indexing, stored, *org, "executed", Some(*amount)).await
        }
        EventBody::WithdrawalCancelled { org } => end(indexing, stored, *org, "cancelled", None).await,
        _ => Ok(()),
    }
}

async fn freeze(
    indexing: &mut Indexing<'_, '_>,
    stored: &Stored,
    org: WalletAddress,
    units: ChainAmount,
    ready_at: Timestamp,
) -> Result<(), StoreError> {
    let Some(org) = indexing.org_at(org).await? else {
        return Ok(());
    };
    let withdrawing = indexing.write.account_balance(Account::Withdrawing(org)).await?;
    let available = indexing.write.account_balance(Account::Available(org)).await?;
    let room = MOST_FROZEN.saturating_sub(withdrawing).max(0);
    let asked = indexing.scale.money(units).map(|(nano, rest)| {
        // Rounded up: a part of a nano must not stay spendable.
        if rest == 0 {
            nano.nano()
        } else {
            nano.nano().saturating_add(1)
        }
    });
    let (frozen, clamped) = match asked {
        Some(asked) if asked <= room => (asked, false),
        _ => (available.clamp(0, room), true),
    };
    let insert = "INSERT INTO withdrawals (id, org_id, block, units, frozen, clamped, ready_at)
                  VALUES (?, ?, ?, ?, ?, ?, ?)";
    let statement = sqlx::query(insert)
        .bind(stored.id)
        .bind(org.0)
        .bind(stored.block()?)
        .bind(units.map(|units| units.to_string()))
        .bind(frozen)
        .bind(clamped)
        .bind(ready_at.micros());
    indexing.write.execute(statement).await?;
    indexing.touched.insert(org);
    let entry = Entry {
        key: format!("withdrawal/{}", stored.name()),
        at: stored.event.block_time,
        block: Some(stored.event.block),
        transfers: vec![Transfer::new(
            Account::Available(org),
            Account::Withdrawing(org),
            Usdt::from_nano(frozen),
        )],
    };
    indexing.write.book(entry).await
}

/// Notes how the newest open request ended.
async fn end(
    indexing: &mut Indexing<'_, '_>,
    stored: &Stored,
    org: WalletAddress,
    how: &'static str,
    paid: Option<ChainAmount>,
) -> Result<(), StoreError> {
    let Some(org) = indexing.org_at(org).await? else {
        return Ok(());
    };
    let paid = paid.flatten();
    let update = "UPDATE withdrawals SET ended = ?, ended_block = ?, paid_units = ?
                  WHERE id = (SELECT max(id) FROM withdrawals WHERE org_id = ? AND block <= ?)
                    AND ended IS NULL AND booked IS NULL";
    let statement = sqlx::query(update)
        .bind(how)
        .bind(stored.block()?)
        .bind(paid.map(|units| units.to_string()))
        .bind(org.0)
        .bind(stored.block()?);
    let ended = indexing.write.execute(statement).await?;
    indexing.touched.insert(org);
    // A request whose window has passed can still be cancelled, which changes nothing.
    if ended == 0 && !(how == "cancelled" && is_void(indexing, org).await?) {
        let detail = format!("a withdrawal of organization {org} was {how} and no open request is known");
        indexing.write.alarm("unknown_withdrawal", stored, detail).await?;
    }
    Ok(())
}

/// Whether the organization's newest request has ended by its window.
async fn is_void(indexing: &mut Indexing<'_, '_>, org: OrgId) -> Result<bool, StoreError> {
    let newest = "SELECT booked FROM withdrawals WHERE org_id = ? ORDER BY id DESC LIMIT 1";
    let Some(row) = indexing.write.optional(sqlx::query(newest).bind(org.0)).await? else {
        return Ok(false);
    };
    let booked: Option<String> = Columns::of(&row).read("withdrawals.booked")?;
    Ok(booked.as_deref() == Some("void"))
}

/// Books the ends that are final.
pub(super) async fn finish(indexing: &mut Indexing<'_, '_>, last_final: i64) -> Result<(), StoreError> {
    let open = "SELECT id, org_id, frozen, ready_at, ended, ended_block, paid_units
                FROM withdrawals WHERE booked IS NULL ORDER BY id";
    let rows = indexing.write.all(sqlx::query(open)).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let active_time = pauses::active_time(indexing, last_final).await?;
    for row in rows {
        let open = Open::read(indexing, &row).await?;
        let is_final = open.request.block()? <= last_final;
        let over = is_final && active_time.is_some_and(|now| now > open.ready_at.plus(WITHDRAWAL_WINDOW));
        match (open.ended.as_deref(), open.ended_block) {
            (Some("executed"), Some(block)) if block <= last_final => open.pay(indexing, block).await?,
            (Some("cancelled"), Some(block)) if block <= last_final => {
                open.free(indexing, "cancelled", block).await?;
            }
            (None, _) if over => open.free(indexing, "void", last_final).await?,
            _ => {}
        }
    }
    Ok(())
}

/// A request that still freezes.
struct Open {
    request: Stored,
    org: OrgId,
    frozen: i64,
    ready_at: Timestamp,
    ended: Option<String>,
    ended_block: Option<i64>,
    paid: Option<u128>,
}

impl Open {
    async fn read(indexing: &mut Indexing<'_, '_>, row: &SqliteRow) -> Result<Self, StoreError> {
        let mut columns = Columns::of(row);
        let id: i64 = columns.read("withdrawals.id")?;
        let event = indexing
            .write
            .optional(sqlx::query(select_events!("WHERE id = ?")).bind(id))
            .await?;
        Ok(Self {
            request: read_event(&event.ok_or(StoreError::inconsistent("withdrawals.id"))?)?,
            org: columns.read("withdrawals.org_id")?,
            frozen: columns.read("withdrawals.frozen")?,
            ready_at: columns.read("withdrawals.ready_at")?,
            ended: columns.read("withdrawals.ended")?,
            ended_block: columns.read("withdrawals.ended_block")?,
            paid: columns.read("withdrawals.paid_units")?,
        })
    }

    /// Cancelled or void: all of it is free again.
    async fn free(&self, indexing: &mut Indexing<'_, '_>, how: &str, block: i64) -> Result<(), StoreError> {
        let transfers = vec![Transfer::new(
            Account::Withdrawing(self.org),
            Account::Available(self.org),
            Usdt::from_nano(self.frozen),
        )];
        self.book(indexing, "void", block, transfers).await?;
        self.close(indexing, how, block, 0).await
    }

    /// Executed: what was paid has left, the rest is free again.
    async fn pay(&self, indexing: &mut Indexing<'_, '_>, block: i64) -> Result<(), StoreError> {
        let paid = self.paid.and_then(|units| indexing.scale.money(Some(units)));
        let Some((paid, rest)) = paid else {
            let detail = format!(
                "a withdrawal of organization {} paid more than can be counted",
                self.org
            );
            return indexing
                .write
                .alarm("withdrawal_out_of_range", &self.request, detail)
                .await;
        };
        // Base units below a nano come out of the dust if it has them, else out of one nano more.
        let (rest, nano) = (columns::number(rest, "withdrawals.paid_units")?, paid.nano());
        let dust = self.dust(indexing).await?;
        let (paid, dust_change) = match rest {
            0 => (nano, 0),
            rest if rest <= dust => (nano, -rest),
            rest => (nano.saturating_add(1), indexing.scale.units_per_nano() - rest),
        };
        let (withdrawing, available, chain) = (
            Account::Withdrawing(self.org),
            Account::Available(self.org),
            Account::ChainOrg(self.org),
        );
        let moved = |source, target, nano| Transfer::new(source, target, Usdt::from_nano(nano));
        let transfers = vec![
            moved(withdrawing, chain, paid.min(self.frozen)),
            moved(withdrawing, available, self.frozen.saturating_sub(paid)),
            moved(available, chain, paid.saturating_sub(self.frozen)),
        ];
        self.book(indexing, "done", block, transfers).await?;
        self.close(indexing, "executed", block, dust_change).await
    }

    async fn dust(&self, indexing: &mut Indexing<'_, '_>) -> Result<i64, StoreError> {
        let dust = "SELECT dust FROM org_books WHERE org_id = ?";
        let row = indexing
            .write
            .optional(sqlx::query(dust).bind(self.org.0))
            .await?;
        row.map_or(Ok(0), |row| Columns::of(&row).read("org_books.dust"))
    }

    async fn book(
        &self,
        indexing: &mut Indexing<'_, '_>,
        how: &str,
        block: i64,
        transfers: Vec<Transfer>,
    ) -> Result<(), StoreError> {
        let at = indexing
            .write
            .time_at(block)
            .await?
            .unwrap_or(self.request.event.block_time);
        let entry = Entry {
            key: format!("withdrawal/{}/{how}", self.request.name()),
            at,
            block: u64::try_from(block).ok(),
            transfers,
        };
        indexing.write.book(entry).await
    }

    async fn close(
        &self,
        indexing: &mut Indexing<'_, '_>,
        how: &str,
        block: i64,
        dust_change: i64,
    ) -> Result<(), StoreError> {
        let close = "UPDATE withdrawals SET booked = ?, booked_block = ?, dust_change = ? WHERE id = ?";
        let statement = sqlx::query(close)
            .bind(how.to_owned())
            .bind(block)
            .bind(dust_change);
        indexing.write.execute(statement.bind(self.request.id)).await?;
        let keep = "UPDATE org_books SET dust = dust + ? WHERE org_id = ?";
        indexing
            .write
            .execute(sqlx::query(keep).bind(dust_change).bind(self.org.0))
            .await?;
        indexing.touched.insert(self.org);
        Ok(())
    }
}
