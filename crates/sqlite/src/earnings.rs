//! [`EarningsStore`] on SQLite: the lines of charges, the creator's account, the chain's payouts.

use crate::{
    chain::{read_event, select_events},
    columns::{self, Columns},
    db::Db,
    ledger::scale::capped,
};
use async_trait::async_trait;
use haithe_billing::{
    capture::Payee,
    chain::{ChainAmount, EventBody},
    earnings::{Earned, PayoutRecord, ProductEarnings},
    ledger::Account,
    ports::EarningsStore,
    usage::Day,
};
use haithe_kernel::{Listed, Page, StoreError, Timestamp, Usdt, WalletAddress};
use sqlx::sqlite::SqliteRow;

/// [`EarningsStore`] on SQLite.
#[derive(Clone)]
pub struct SqliteEarningsStore {
    db: Db,
}

impl SqliteEarningsStore {
    /// Earnings in this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

#[async_trait]
impl EarningsStore for SqliteEarningsStore {
    async fn earned(&self, creator: WalletAddress) -> Result<Earned, StoreError> {
        let mut moment = self.db.snapshot().await?;
        let figures = "SELECT (SELECT sum(charged >> 32) FROM product_days WHERE payee = ?1),
                              (SELECT sum(charged & 4294967295) FROM product_days WHERE payee = ?1),
                              (SELECT balance FROM ledger_accounts WHERE name = ?2),
                              (SELECT identity_id FROM creators WHERE wallet_address = ?3),
                              (SELECT last_final FROM chain_binding)";
        let figures = sqlx::query(figures)
            .bind(columns::payee(Payee::Creator(creator)))
            .bind(Account::Creator(creator).to_string())
            .bind(columns::address(creator))
            .fetch_one(&mut *moment)
            .await
            .map_err(StoreError::new)?;
        let payouts = select_events!("WHERE subject = ? AND kind = 'creator_withdrawn'");
        let payouts = sqlx::query(payouts)
            .bind(columns::address(creator))
            .fetch_all(&mut *moment)
            .await
            .map_err(StoreError::new)?;
        drop(moment);
        let mut columns = Columns::of(&figures);
        let high: Option<i64> = columns.read("product_days.charged")?;
        let low: Option<i64> = columns.read("product_days.charged")?;
        let balance: Option<Usdt> = columns.read("ledger_accounts.balance")?;
        let identity = columns.read("creators.identity_id")?;
        let last_final: Option<i64> = columns.read("chain_binding.last_final")?;
        let (mut withdrawn, mut leaving) = (0i128, 0i128);
        for row in &payouts {
            let payout = read_event(row)?;
            let EventBody::CreatorWithdrawn { amount, .. } = payout.event.body else {
                continue;
            };
            let side = if Some(payout.block()?) <= last_final {
                &mut withdrawn
            } else {
                &mut leaving
            };
            *side += self.counted(amount);
        }
        let balance = i128::from(balance.unwrap_or(Usdt::ZERO).nano());
        Ok(Earned {
            charged: capped((i128::from(high.unwrap_or(0)) << 32) + i128::from(low.unwrap_or(0))),
            // What has left came in before.
            settled: capped(balance + withdrawn),
            withdrawn: capped(withdrawn),
            leaving: capped(leaving),
            identity,
        })
    }

    async fn payout(&self, creator: WalletAddress) -> Result<PayoutRecord, StoreError> {
        let record = "SELECT head.time, identity_id, payout_address, next_payout_address, next_payout_at
                      FROM (SELECT coalesce((SELECT time FROM chain_blocks ORDER BY number DESC LIMIT 1), 0) AS time)
                          AS head
                      LEFT JOIN creators ON wallet_address = ?";
        let mut moment = self.db.snapshot().await?;
        let row = sqlx::query(record)
            .bind(columns::address(creator))
            .fetch_one(&mut *moment)
            .await
            .map_err(StoreError::new)?;
        let mut columns = Columns::of(&row);
        let indexed_until = columns.read("chain_blocks.time")?;
        let identity = columns.read("creators.identity_id")?;
        let current = columns.read("creators.payout_address")?;
        let next: Option<WalletAddress> = columns.read("creators.next_payout_address")?;
        let at: Option<Timestamp> = columns.read("creators.next_payout_at")?;
        Ok(PayoutRecord {
            identity,
            current,
            next: at.map(|at| (next, at)),
            indexed_until,
        })
    }

    async fn by_product(
        &self,
        creator: WalletAddress,
        from: Option<Day>,
        until: Option<Day>,
        page: Page,
    ) -> Result<Listed<ProductEarnings>, StoreError> {
        let count = "SELECT count(DISTINCT product_id) FROM product_days
                     WHERE payee = ?1 AND day BETWEEN ?2 AND ?3";
        let rows = "SELECT product_id, (SELECT name FROM products WHERE id = product_id), sum(calls),
                           sum(charged >> 32) AS high, sum(charged & 4294967295) AS low
                    FROM product_days WHERE payee = ?1 AND day BETWEEN ?2 AND ?3
                    GROUP BY product_id ORDER BY high + (low >> 32) DESC, low & 4294967295 DESC, product_id
                    LIMIT ?4 OFFSET ?5";
        let bound = |sql: &'static str| {
            sqlx::query(sql)
                .bind(columns::payee(Payee::Creator(creator)))
                .bind(from.map_or(i64::MIN, |day| day.0))
                .bind(until.map_or(i64::MAX, |day| day.0))
        };
        let rows = bound(rows).bind(page.limit()).bind(page.offset());
        self.db.listed(bound(count), rows, of_product).await
    }
}

impl SqliteEarningsStore {
    /// As the ledger counts a payout: one that is no amount was never booked, and raised an alarm.
    fn counted(&self, amount: ChainAmount) -> i128 {
        match self.db.scale().money(amount) {
            Some((amount, 0)) => i128::from(amount.nano()),
            _ => 0,
        }
    }
}

fn of_product(row: &SqliteRow) -> Result<ProductEarnings, StoreError> {
    let mut columns = Columns::of(row);
    let product = columns.read("product_days.product_id")?;
    let name = columns.read("products.name")?;
    let calls = columns.read("product_days.calls")?;
    let high: i64 = columns.read("product_days.charged")?;
    let low: i64 = columns.read("product_days.charged")?;
    Ok(ProductEarnings {
        product,
        name,
        calls,
        charged: capped((i128::from(high) << 32) + i128::from(low)),
    })
}
