//! [`EarningsStore`] on PostgreSQL: the lines of charges, the creator's account, the chain's payouts. What they come
//! to is [`EarningsAccount::earned`]'s decision.

use crate::{
    chain::{read_event, select_events},
    columns::{self, Columns},
    db::Db,
    ledger::read::ReadRows,
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
use sqlx::postgres::PgRow;

/// [`EarningsStore`] on PostgreSQL.
#[derive(Clone)]
pub struct PgEarningsStore {
    db: Db,
}

impl PgEarningsStore {
    /// Earnings in this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

/// Sums are taken in two halves, because one of 64 bits could overflow.
const FIGURES: &str = "
    SELECT (SELECT sum(charged >> 32)::BIGINT FROM product_days WHERE payee = $1) AS high,
           (SELECT sum(charged & 4294967295)::BIGINT FROM product_days WHERE payee = $1) AS low,
           (SELECT balance FROM ledger_accounts WHERE name = $2) AS balance,
           (SELECT identity_id FROM creators WHERE wallet_address = $3) AS identity_id,
           (SELECT last_final FROM chain_binding) AS last_final";
const WITHDRAWN: &str = select_events!("WHERE subject = $1 AND kind = 'creator_withdrawn'");
const PAYOUT: &str = "
    SELECT head.time, identity_id, payout_address, next_payout_address, next_payout_at
    FROM (SELECT coalesce((SELECT time FROM chain_blocks ORDER BY number DESC LIMIT 1), 0) AS time) AS head
    LEFT JOIN creators ON wallet_address = $1";
const COUNT: &str = "
    SELECT count(DISTINCT product_id) AS count FROM product_days WHERE payee = $1 AND day BETWEEN $2 AND $3";
const BY_PRODUCT: &str = "
    SELECT product_id, (SELECT name FROM products WHERE id = product_id) AS name, calls, high, low
    FROM (SELECT product_id, sum(calls)::BIGINT AS calls, sum(charged >> 32)::BIGINT AS high,
                 sum(charged & 4294967295)::BIGINT AS low
          FROM product_days WHERE payee = $1 AND day BETWEEN $2 AND $3 GROUP BY product_id) AS figures
    ORDER BY high + (low >> 32) DESC, low & 4294967295 DESC, product_id LIMIT $4 OFFSET $5";

/// A sum from its halves `high` and `low`, which are NULL where there is nothing to sum.
fn whole(columns: &Columns<'_>) -> Result<i128, StoreError> {
    let high: Option<i64> = columns.get_as("high", "product_days.charged")?;
    let low: Option<i64> = columns.get_as("low", "product_days.charged")?;
    Ok((i128::from(high.unwrap_or(0)) << 32) + i128::from(low.unwrap_or(0)))
}

#[async_trait]
impl EarningsStore for PgEarningsStore {
    async fn earned(&self, creator: WalletAddress) -> Result<Earned, StoreError> {
        let mut moment = self.db.snapshot().await?;
        let figures = sqlx::query(FIGURES)
            .bind(columns::payee(Payee::Creator(creator)))
            .bind(Account::Creator(creator).to_string())
            .bind(columns::address(creator));
        let figures = moment.rows(figures).await?;
        let figures = figures
            .first()
            .ok_or(StoreError::inconsistent("product_days.charged"))?;
        let payouts = sqlx::query(WITHDRAWN).bind(columns::address(creator));
        let payouts = moment.rows(payouts).await?;
        drop(moment);
        let mut withdrawals = Vec::with_capacity(payouts.len());
        for row in &payouts {
            let event = read_event(row)?;
            if let EventBody::CreatorWithdrawn { amount, .. } = event.body {
                withdrawals.push((event.block, amount));
            }
        }
        let columns = Columns::of(figures);
        // Below zero before the first final block.
        let last_final: Option<i64> = columns.get("chain_binding.last_final")?;
        let balance: Option<Usdt> = columns.get("ledger_accounts.balance")?;
        let account = EarningsAccount {
            charged: whole(&columns)?,
            balance: balance.unwrap_or(Usdt::ZERO),
            withdrawals,
            last_final: last_final.and_then(|block| u64::try_from(block).ok()),
            identity: columns.get("creators.identity_id")?,
        };
        Ok(account.earned(self.db.decimals()))
    }

    async fn payout(&self, creator: WalletAddress) -> Result<PayoutRecord, StoreError> {
        let row = self
            .db
            .optional(sqlx::query(PAYOUT).bind(columns::address(creator)))
            .await?;
        let row = row.ok_or(StoreError::inconsistent("chain_blocks.time"))?;
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
        let bound = |sql: &'static str| {
            sqlx::query(sql)
                .bind(columns::payee(Payee::Creator(creator)))
                .bind(from.map_or(i64::MIN, |day| day.0))
                .bind(until.map_or(i64::MAX, |day| day.0))
        };
        self.db
            .listed(bound(COUNT), (bound(BY_PRODUCT), page), of_product)
            .await
    }
}

fn of_product(row: &PgRow) -> Result<ProductEarnings, StoreError> {
    let columns = Columns::of(row);
    let totals = UsageTotals {
        charged: whole(&columns)?,
        ..UsageTotals::default()
    };
    Ok(ProductEarnings {
        product: columns.get("product_days.product_id")?,
        name: columns.get("products.name")?,
        calls: columns.get("product_days.calls")?,
        charged: totals.charged(),
    })
}
