//! Storing ledger entries within a write transaction: keys, transfers and balances as billing computes them.

use super::accounts::LockedAccounts;
use crate::{
    columns::{self, Columns},
    write::WriteTx,
};
use haithe_billing::ledger::{
    Entry, Postings, Transfer, count_reversals, fact_key, occurrence_key, reversal_prefix,
};
use haithe_kernel::{StoreError, Timestamp};
use sqlx::postgres::PgRow;

/// Books the entry of a fact or decision under its key: locks its accounts, gives new ones a row, computes their
/// balances and stores all of it. A fact that came, went and came again gets the key of its next occurrence.
pub(crate) async fn post(write: &mut WriteTx, entry: Entry) -> Result<(), StoreError> {
    let mut accounts = write.accounts_of(&entry).await?;
    let reversals = reversals(write, &entry.key).await?;
    let key = occurrence_key(entry.key, reversals);
    write
        .store_entry(&mut accounts, &Entry { key, ..entry }, None)
        .await
}

/// Reverses every entry of a block above `block` that is not reversed, the newest first.
pub(crate) async fn reverse_above(write: &mut WriteTx, block: i64, at: Timestamp) -> Result<(), StoreError> {
    let above = "SELECT entry.id AS id, entry.key AS key FROM ledger_transactions AS entry
                 WHERE entry.block > $1
                   AND NOT EXISTS (SELECT 1 FROM ledger_transactions AS other WHERE other.reverses = entry.id)
                 ORDER BY entry.block DESC, entry.id DESC";
    for row in write.all(sqlx::query(above).bind(block)).await? {
        let columns = Columns::of(&row);
        let id: i64 = columns.get("ledger_transactions.id")?;
        let key: String = columns.get("ledger_transactions.key")?;
        let booked = booked_transfers(write, id).await?;
        let reversals = reversals(write, fact_key(&key)).await?;
        let reversal = Entry::reversal(&key, &booked, reversals, at);
        let mut accounts = write.accounts_of(&reversal).await?;
        write.store_entry(&mut accounts, &reversal, Some(id)).await?;
    }
    Ok(())
}

impl WriteTx {
    /// Locks the accounts that an entry touches.
    async fn accounts_of(&mut self, entry: &Entry) -> Result<LockedAccounts, StoreError> {
        let touched = entry
            .booked()
            .flat_map(|transfer| [transfer.source, transfer.target]);
        self.lock_accounts(touched).await
    }

    async fn store_entry(
        &mut self,
        accounts: &mut LockedAccounts,
        entry: &Entry,
        reverses: Option<i64>,
    ) -> Result<(), StoreError> {
        let balances = Postings::on(&*accounts).post(entry).map_err(StoreError::new)?;
        let block = entry
            .block
            .map(|block| columns::number(block, "ledger_transactions.block"))
            .transpose()?;
        let insert = "INSERT INTO ledger_transactions (key, at, block, reverses) VALUES ($1, $2, $3, $4)
                      RETURNING id";
        let statement = sqlx::query(insert)
            .bind(entry.key.clone())
            .bind(entry.at.micros())
            .bind(block)
            .bind(reverses);
        let row = self.one(statement).await?;
        let id = Columns::of(&row).get("ledger_transactions.id")?;
        self.store_transfers(accounts, [(id, entry)]).await?;
        self.store_balances(accounts, balances).await
    }

    /// Stores the transfers of entries with these numbers, between accounts that are locked.
    pub(crate) async fn store_transfers<'e>(
        &mut self,
        accounts: &LockedAccounts,
        entries: impl IntoIterator<Item = (i64, &'e Entry)>,
    ) -> Result<(), StoreError> {
        let (mut ids, mut positions) = (Vec::new(), Vec::new());
        let (mut sources, mut targets, mut amounts) = (Vec::new(), Vec::new(), Vec::new());
        for (id, entry) in entries {
            for (position, transfer) in entry.booked_positions() {
                ids.push(id);
                positions.push(i64::from(position));
                sources.push(accounts.id(transfer.source)?);
                targets.push(accounts.id(transfer.target)?);
                amounts.push(transfer.amount.nano());
            }
        }
        if ids.is_empty() {
            return Ok(());
        }
        let insert = "INSERT INTO ledger_transfers (transaction_id, position, source, target, amount)
                      SELECT * FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[])";
        let statement = sqlx::query(insert)
            .bind(ids)
            .bind(positions)
            .bind(sources)
            .bind(targets)
            .bind(amounts);
        self.execute(statement).await.map(drop)
    }
}

async fn booked_transfers(write: &mut WriteTx, id: i64) -> Result<Vec<Transfer>, StoreError> {
    let transfers = "SELECT source.name AS source, target.name AS target, amount
                     FROM ledger_transfers AS transfer
                     JOIN ledger_accounts AS source ON source.id = transfer.source
                     JOIN ledger_accounts AS target ON target.id = transfer.target
                     WHERE transaction_id = $1 ORDER BY position";
    let rows = write.all(sqlx::query(transfers).bind(id)).await?;
    let transfer = |row: &PgRow| -> Result<Transfer, StoreError> {
        let columns = Columns::of(row);
        Ok(Transfer {
            source: columns.get_as("source", "ledger_accounts.name")?,
            target: columns.get_as("target", "ledger_accounts.name")?,
            amount: columns.get("ledger_transfers.amount")?,
        })
    };
    rows.iter().map(transfer).collect()
}

/// How many times the fact of this key was reversed.
async fn reversals(write: &mut WriteTx, fact: &str) -> Result<u64, StoreError> {
    let prefix = reversal_prefix(fact);
    // Every key that begins with the prefix, and perhaps a few more: '0' is the character after '/'.
    let after = format!("{}0", prefix.trim_end_matches('/'));
    let keys = "SELECT key FROM ledger_transactions WHERE key > $1 AND key < $2";
    let rows = write.all(sqlx::query(keys).bind(prefix).bind(after)).await?;
    let keys = rows
        .iter()
        .map(|row| Columns::of(row).get("ledger_transactions.key"));
    let keys: Vec<String> = keys.collect::<Result<_, _>>()?;
    Ok(count_reversals(fact, keys.iter().map(String::as_str)))
}
