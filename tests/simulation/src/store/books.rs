//! Ledger entries and balances.

use haithe_billing::ledger::{Account, Balances, Entry, Transfer, drifted, fact_key, occurrence_key, post};
use haithe_kernel::{Timestamp, Usdt};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Entries in their order, and the balances that they lead to.
#[derive(Debug, Default)]
pub struct Books {
    entries: Vec<(Entry, bool)>,
    keys: BTreeSet<String>,
    reversals: BTreeMap<String, u64>,
    balances: BTreeMap<Account, Usdt>,
}

impl Balances for Books {
    fn balance_of(&self, account: Account) -> Usdt {
        self.balances.balance_of(account)
    }
}

impl Books {
    /// Books an entry; a fact that was reversed before gets the next key of its fact. Returns what is wrong with it.
    pub fn book(&mut self, mut entry: Entry) -> Result<(), String> {
        let reversals = self.reversals.get(fact_key(&entry.key)).copied().unwrap_or(0);
        entry.key = occurrence_key(entry.key, reversals);
        self.append(entry)
    }

    fn append(&mut self, entry: Entry) -> Result<(), String> {
        let changed = post(&self.balances, &entry).map_err(|error| error.to_string())?;
        if !self.keys.insert(entry.key.clone()) {
            return Err(format!("the entry {} is booked twice", entry.key));
        }
        self.balances.extend(changed);
        self.entries.push((entry, false));
        Ok(())
    }

    /// Reverses every entry of a block above `block`, newest first; returns the transfers.
    pub fn reverse_above(&mut self, block: u64, at: Timestamp) -> Result<Vec<Transfer>, String> {
        let mut reversals = Vec::new();
        for (entry, reversed) in self.entries.iter_mut().rev() {
            if *reversed || entry.block <= Some(block) {
                continue;
            }
            *reversed = true;
            let count = self.reversals.entry(fact_key(&entry.key).to_owned()).or_default();
            reversals.push(Entry::reversal(&entry.key, &entry.transfers, *count, at));
            *count += 1;
        }
        let mut transfers = Vec::new();
        for entry in reversals {
            transfers.extend(entry.booked());
            self.append(entry)?;
        }
        Ok(transfers)
    }

    /// All balances.
    pub fn balances(&self) -> impl Iterator<Item = (Account, Usdt)> + '_ {
        self.balances
            .iter()
            .map(|(account, balance)| (*account, *balance))
    }

    /// Balances that are not the sums of their postings.
    pub fn drifted(&self) -> Vec<String> {
        let mut moved: HashMap<Account, i128> = HashMap::new();
        for transfer in self.entries.iter().flat_map(|(entry, _)| entry.booked()) {
            let amount = i128::from(transfer.amount.nano());
            *moved.entry(transfer.source).or_default() -= amount;
            *moved.entry(transfer.target).or_default() += amount;
        }
        let stored: HashMap<Account, Usdt> = self.balances().collect();
        drifted(&stored, &moved)
    }
}
