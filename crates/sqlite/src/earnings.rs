//! [`EarningsStore`] on SQLite: the lines of charges, the creator's account, the chain's payouts. What they come
//! to is [`EarningsAccount::earned`]'s decision.

use crate::{
    chain::{read_event, select_events},
    columns::{self, Columns},
    db::Db,
    usage::whole,
};
use async_trait::async_trait;
use haithe_billing::{
    capture::Payee,
    chain::EventBody,
    earnings::{Earned, EarningsAccount, PayoutRecord, ProductEarnings},
    ledger::Account,
    ports::EarningsStore,
    usage::{Day, UsageTotals},
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
        let figures = "SELECT (SELECT sum(charged >> 32) FROM product_days WHERE payee = ?1) AS high,
                              (SELECT sum(charged & 4294967295) FROM product_days WHERE payee = ?1) AS low,
                              (SELECT balance FROM ledger_accounts WHERE name = ?2) AS balance,
                              (SELECT identity_id FROM creators WHERE wallet_address = ?3) AS identity_id,
                              (SELECT last_final FROM chain_binding) AS last_final";
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
        let mut withdrawals = Vec::with_capacity(payouts.len());
        for row in &payouts {
            let event = read_event(row)?.event;
            if let EventBody::CreatorWithdrawn { amount, .. } = event.body {
                withdrawals.push((event.block, amount));
            }
        }
        let columns = Columns::of(&figures);
        // Below zero before the first final block.
        let last_final: Option<i64> = columns.get("chain_binding.last_final")?;
        let balance: Option<Usdt> = columns.get("ledger_accounts.balance")?;
        let account = EarningsAccount {
            charged: whole(&columns, ("high", "low"), "product_days.charged")?,
            balance: balance.unwrap_or(Usdt::ZERO),
            withdrawals,
            last_final: last_final.and_then(|block| u64::try_from(block).ok()),
            identity: columns.get("creators.identity_id")?,
        };
        Ok(account.earned(self.db.decimals()))
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
        let columns = Columns::of(&row);
        let next: Option<WalletAddress> = columns.get("creators.next_payout_address")?;
        let at: Option<Timestamp> = columns.get("creators.next_payout_at")?;
        Ok(PayoutRecord {
            identity: columns.get("creators.identity_id")?,
            current: columns.get("creators.payout_address")?,
            next: at.map(|at| (next, at)),
            indexed_until: columns.get("chain_blocks.time")?,
        })
    }

    async fn by_product(
        &self,
        creator: WalletAddress,
        from: Option<Day>,
        until: Option<Day>,
        page: Page,
    ) -> Result<Listed<ProductEarnings>, StoreError> {
        let count = "SELECT count(DISTINCT product_id) AS count FROM product_days
                     WHERE payee = ?1 AND day BETWEEN ?2 AND ?3";
        let rows = "SELECT product_id, (SELECT name FROM products WHERE id = product_id) AS name,
                           sum(calls) AS calls, sum(charged >> 32) AS high, sum(charged & 4294967295) AS low
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

fn of_product(row: &SqliteRow) -> Result<ProductEarnings, StoreError> {
    let columns = Columns::of(row);
    let totals = UsageTotals {
        charged: whole(&columns, ("high", "low"), "product_days.charged")?,
        ..UsageTotals::default()
    };
    Ok(ProductEarnings {
        product: columns.get("product_days.product_id")?,
        name: columns.get("products.name")?,
        calls: columns.get("product_days.calls")?,
        charged: totals.charged(),
    })
}
