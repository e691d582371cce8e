//! Booking facts: a ledger transaction within a write transaction.

use crate::{columns, columns::Columns, db::WriteTx};
use haithe_billing::ledger::{Account, Entry, Transfer, occurrence_key};
use haithe_kernel::{StoreError, Timestamp};

/// Numbers of the accounts that every database has.
pub(crate) const ORCHESTRATOR: i64 = 1;
pub(crate) const PLATFORM: i64 = 2;
pub(crate) const PLATFORM_LOSS: i64 = 3;
const DUST: i64 = 4;

impl WriteTx<'_> {
    /// Books an entry. A fact that came, went and came again gets the key `{key}#2`, and so on.
    pub(crate) async fn book(&mut self, entry: Entry) -> Result<(), StoreError> {
        let reversals = self.reversals(&entry.key).await?.unsigned_abs();
        let block = entry
            .block
            .map(|block| columns::number(block, "ledger_transactions.block"))
            .transpose()?;
        let key = occurrence_key(entry.key.clone(), reversals);
        let id = self.open_entry(&key, entry.at, block, None).await?;
        for (position, transfer) in (0i64..).zip(entry.booked()) {
            let Transfer {
                source,
                target,
                amount,
            } = transfer;
            let amount = amount.nano();
            let (source_id, target_id) = (self.account(source).await?, self.account(target).await?);
            self.move_money(id, position, source_id, target_id, amount)
                .await?;
            self.effects.transfers.push((source, target, i128::from(amount)));
        }
        Ok(())
    }

    /// Reverses every entry of a block above `block` that is not reversed.
    pub(crate) async fn reverse_above(&mut self, block: i64, at: Timestamp) -> Result<(), StoreError> {
        let above = "SELECT entry.id, entry.key FROM ledger_transactions AS entry
                     WHERE entry.block > ?
                       AND NOT EXISTS (SELECT 1 FROM ledger_transactions AS other WHERE other.reverses = entry.id)
                     ORDER BY entry.block DESC, entry.id DESC";
        let rows = self.all(sqlx::query(above).bind(block)).await?;
        for row in rows {
            let mut columns = Columns::of(&row);
            let id: i64 = columns.read("ledger_transactions.id")?;
            let key: String = columns.read("ledger_transactions.key")?;
            self.reverse(id, &key, at).await?;
        }
        Ok(())
    }

    async fn reverse(&mut self, id: i64, key: &str, at: Timestamp) -> Result<(), StoreError> {
        let key = key.split_once('#').map_or(key, |(first, _)| first);
        let times = self.reversals(key).await? + 1;
        let reversal = self
            .open_entry(&format!("rewind/{key}/{times}"), at, None, Some(id))
            .await?;
        let transfers = "SELECT position, source, target, amount,
                                (SELECT name FROM ledger_accounts WHERE id = source),
                                (SELECT name FROM ledger_accounts WHERE id = target)
                         FROM ledger_transfers WHERE transaction_id = ? ORDER BY position";
        let rows = self.all(sqlx::query(transfers).bind(id)).await?;
        for row in rows {
            let mut columns = Columns::of(&row);
            let position: i64 = columns.read("ledger_transfers.position")?;
            let source_id: i64 = columns.read("ledger_transfers.source")?;
            let target_id: i64 = columns.read("ledger_transfers.target")?;
            let amount: i64 = columns.read("ledger_transfers.amount")?;
            let source: Account = columns.read("ledger_accounts.name")?;
            let target: Account = columns.read("ledger_accounts.name")?;
            self.move_money(reversal, position, target_id, source_id, amount)
                .await?;
            self.effects.transfers.push((target, source, i128::from(amount)));
        }
        Ok(())
    }

    /// How many times the fact of this key was taken back.
    async fn reversals(&mut self, key: &str) -> Result<i64, StoreError> {
        // '0' is the character after '/': every key that is `rewind/{key}/` and a number.
        let (from, to) = (format!("rewind/{key}/"), format!("rewind/{key}0"));
        let count = "SELECT count(*) FROM ledger_transactions
                     WHERE key > ?1 AND key < ?2 AND instr(substr(key, length(?1) + 1), '/') = 0";
        let row = self.optional(sqlx::query(count).bind(from).bind(to)).await?;
        row.map_or(Ok(0), |row| Columns::of(&row).read("ledger_transactions.key"))
    }

    async fn open_entry(
        &mut self,
        key: &str,
        at: Timestamp,
        block: Option<i64>,
        reverses: Option<i64>,
    ) -> Result<i64, StoreError> {
        let id = self.next_transaction;
        self.next_transaction += 1;
        let insert = "INSERT INTO ledger_transactions (id, key, at, block, reverses) VALUES (?, ?, ?, ?, ?)";
        let statement = sqlx::query(insert)
            .bind(id)
            .bind(key.to_owned())
            .bind(at.micros());
        self.execute(statement.bind(block).bind(reverses)).await?;
        Ok(id)
    }

    async fn move_money(
        &mut self,
        id: i64,
        position: i64,
        source: i64,
        target: i64,
        amount: i64,
    ) -> Result<(), StoreError> {
        let insert = "INSERT INTO ledger_transfers (transaction_id, position, source, target, amount)
                      VALUES (?, ?, ?, ?, ?)";
        let statement = sqlx::query(insert)
            .bind(id)
            .bind(position)
            .bind(source)
            .bind(target);
        self.execute(statement.bind(amount)).await?;
        let balances =
            "UPDATE ledger_accounts SET balance = balance + iif(id = ?1, -?3, ?3) WHERE id IN (?1, ?2)";
        self.execute(sqlx::query(balances).bind(source).bind(target).bind(amount))
            .await?;
        Ok(())
    }

    /// The account's number; made when it is new.
    pub(crate) async fn account(&mut self, account: Account) -> Result<i64, StoreError> {
        match account {
            Account::ChainOrchestrator => return Ok(ORCHESTRATOR),
            Account::Platform => return Ok(PLATFORM),
            Account::PlatformLoss => return Ok(PLATFORM_LOSS),
            Account::Dust => return Ok(DUST),
            Account::ChainOrg(_)
            | Account::Available(_)
            | Account::Unsettled(_)
            | Account::Withdrawing(_)
            | Account::Creator(_)
            | Account::Escrow(_) => {}
        }
        let insert = "INSERT INTO ledger_accounts (name) VALUES (?)
                      ON CONFLICT DO UPDATE SET name = excluded.name RETURNING id";
        let row = self
            .optional(sqlx::query(insert).bind(account.to_string()))
            .await?;
        let missing = || StoreError::inconsistent("ledger_accounts.name");
        Columns::of(&row.ok_or_else(missing)?).read("ledger_accounts.id")
    }
}
