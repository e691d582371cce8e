//! Storing ledger entries within a write transaction: keys, transfers and balances as billing computed them.

use crate::{
    columns::{self, Columns},
    db::WriteTx,
};
use haithe_billing::ledger::{
    Account, Entry, Transfer, count_reversals, fact_key, occurrence_key, reversal_prefix,
};
use haithe_kernel::{StoreError, Timestamp};
use sqlx::sqlite::SqliteRow;

impl WriteTx<'_> {
    /// Books an entry. A fact that came, went and came again gets the key of its next occurrence.
    pub(crate) async fn book(&mut self, entry: Entry) -> Result<(), StoreError> {
        let reversals = self.reversals(&entry.key).await?;
        let key = occurrence_key(entry.key, reversals);
        self.store_entry(Entry { key, ..entry }, None).await
    }

    /// Reverses every entry of a block above `block` that is not reversed, the newest first.
    pub(crate) async fn reverse_above(&mut self, block: i64, at: Timestamp) -> Result<(), StoreError> {
        let above = "SELECT entry.id AS id, entry.key AS key FROM ledger_transactions AS entry
                     WHERE entry.block > ?
                       AND NOT EXISTS (SELECT 1 FROM ledger_transactions AS other WHERE other.reverses = entry.id)
                     ORDER BY entry.block DESC, entry.id DESC";
        for row in self.all(sqlx::query(above).bind(block)).await? {
            let columns = Columns::of(&row);
            let id: i64 = columns.get("ledger_transactions.id")?;
            let key: String = columns.get("ledger_transactions.key")?;
            let booked = self.booked_transfers(id).await?;
            let reversals = self.reversals(fact_key(&key)).await?;
            let reversal = Entry::reversal(&key, &booked, reversals, at);
            self.store_entry(reversal, Some(id)).await?;
        }
        Ok(())
    }

    /// The account's number; its row is inserted when it is new.
    pub(crate) async fn account(&mut self, account: Account) -> Result<i64, StoreError> {
        if let Some(id) = self.accounts.id(account) {
            return Ok(id);
        }
        let id = self.accounts.open(account);
        let insert = "INSERT INTO ledger_accounts (id, name) VALUES (?, ?)";
        self.execute(sqlx::query(insert).bind(id).bind(account.to_string()))
            .await?;
        Ok(id)
    }

    async fn store_entry(&mut self, entry: Entry, reverses: Option<i64>) -> Result<(), StoreError> {
        let balances = self.accounts.post(&entry).map_err(StoreError::new)?;
        for (account, _) in &balances {
            self.account(*account).await?;
        }
        let id = self.next_transaction;
        self.next_transaction += 1;
        let block = entry
            .block
            .map(|block| columns::number(block, "ledger_transactions.block"))
            .transpose()?;
        let transfers = self.accounts.transfers_json(&entry)?;
        let balances = self.accounts.balances_json(balances)?;
        self.effects.transfers.extend(entry.booked());

        let insert = "INSERT INTO ledger_transactions (id, key, at, block, reverses) VALUES (?, ?, ?, ?, ?)";
        let statement = sqlx::query(insert)
            .bind(id)
            .bind(entry.key)
            .bind(entry.at.micros());
        self.execute(statement.bind(block).bind(reverses)).await?;
        let insert = "INSERT INTO ledger_transfers (transaction_id, position, source, target, amount)
                      SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?2)";
        self.execute(sqlx::query(insert).bind(id).bind(transfers)).await?;
        let update = "UPDATE ledger_accounts SET balance = changed.value ->> 1 FROM json_each(?) AS changed
                      WHERE ledger_accounts.id = changed.value ->> 0";
        self.execute(sqlx::query(update).bind(balances)).await?;
        Ok(())
    }

    async fn booked_transfers(&mut self, id: i64) -> Result<Vec<Transfer>, StoreError> {
        let transfers = "SELECT source.name AS source, target.name AS target, amount
                         FROM ledger_transfers AS transfer
                         JOIN ledger_accounts AS source ON source.id = transfer.source
                         JOIN ledger_accounts AS target ON target.id = transfer.target
                         WHERE transaction_id = ? ORDER BY position";
        let rows = self.all(sqlx::query(transfers).bind(id)).await?;
        let transfer = |row: &SqliteRow| -> Result<Transfer, StoreError> {
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
    async fn reversals(&mut self, fact: &str) -> Result<u64, StoreError> {
        let prefix = reversal_prefix(fact);
        // Every key that begins with the prefix, and perhaps a few more: '0' is the character after '/'.
        let after = format!("{}0", prefix.trim_end_matches('/'));
        let keys = "SELECT key FROM ledger_transactions WHERE key > ? AND key < ?";
        let rows = self.all(sqlx::query(keys).bind(prefix).bind(after)).await?;
        let keys = rows
            .iter()
            .map(|row| Columns::of(row).get("ledger_transactions.key"));
        let keys: Vec<String> = keys.collect::<Result<_, _>>()?;
        Ok(count_reversals(fact, keys.iter().map(String::as_str)))
    }
}
