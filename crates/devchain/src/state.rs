//! The accounts as they are now, with enough undo to go back.
//!
//! Every change is recorded as what was there before, grouped by block, so that a reorg or a
//! snapshot costs what the undone blocks changed and never a copy of the whole state.

use alloy::primitives::{
    Address, B256, U256, keccak256,
    map::{AddressMap, HashMap, U256Map},
};
use revm::{
    bytecode::Bytecode,
    primitives::KECCAK_EMPTY,
    state::{AccountInfo, EvmState},
};
use std::collections::{BTreeMap, VecDeque};

/// An account and its storage. Zero slots are absent.
#[derive(Clone, Debug, Default)]
struct Entry {
    info: AccountInfo,
    storage: U256Map<U256>,
}

/// What one write replaced.
#[derive(Debug)]
enum Before {
    Account(Address, Option<AccountInfo>),
    Slot(Address, U256, U256),
    /// The state's commitment before a block or an edit.
    Commitment(B256),
}

/// A place in the undo log: after `writes` writes of block `block`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub block: u64,
    pub writes: usize,
}

/// All accounts at the head of the chain.
#[derive(Debug, Default)]
pub(crate) struct State {
    accounts: AddressMap<Entry>,
    codes: HashMap<B256, Bytecode>,
    commitment: B256,
    /// One list per block, the newest last; edits made between blocks belong to the block before.
    undo: VecDeque<Vec<Before>>,
    /// Number of the newest block in `undo`.
    head: u64,
}

/// An older state: the newest one seen through what was undone.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    accounts: AddressMap<Option<AccountInfo>>,
    slots: HashMap<(Address, U256), U256>,
}

impl State {
    /// The state before block 0 is sealed, with balances in wei.
    pub fn genesis(funded: &[(Address, U256)]) -> Self {
        let mut state = Self::default();
        state.undo.push_back(Vec::new());
        for (address, balance) in funded {
            state.set_account(
                *address,
                AccountInfo {
                    balance: *balance,
                    ..Default::default()
                },
            );
        }
        // Nobody goes back behind genesis.
        state.undo.clear();
        state.undo.push_back(Vec::new());
        state
    }

    pub fn account(&self, address: &Address) -> Option<&AccountInfo> {
        self.accounts.get(address).map(|entry| &entry.info)
    }

    pub fn slot(&self, address: &Address, slot: &U256) -> U256 {
        self.accounts
            .get(address)
            .and_then(|entry| entry.storage.get(slot))
            .copied()
            .unwrap_or_default()
    }

    pub fn code(&self, hash: &B256) -> Option<&Bytecode> {
        self.codes.get(hash)
    }

    /// A hash over every change since genesis in order. It stands in the header's `stateRoot`
    /// place: equal histories have equal commitments, but it is not a Merkle root and proves
    /// nothing about a single account.
    pub fn commitment(&self) -> B256 {
        self.commitment
    }

    /// Begins the undo list of the next block.
    pub fn begin_block(&mut self) {
        self.undo.push_back(Vec::new());
        self.head += 1;
    }

    /// Applies what a transaction changed.
    pub fn commit(&mut self, changes: EvmState) {
        let mut changes: BTreeMap<Address, _> = changes.into_iter().filter(|(_, a)| a.is_touched()).collect();
        if changes.is_empty() {
            return;
        }
        let mut told = Told::since(self.commitment);
        for (address, account) in &mut changes {
            let gone = account.is_selfdestructed() || account.is_empty();
            if gone || account.is_created() {
                self.wipe(address, &mut told);
            }
            if gone {
                if self.accounts.contains_key(address) {
                    self.write_account(*address, None, &mut told);
                }
                continue;
            }
            if self.account(address) != Some(&account.info) {
                self.write_account(*address, Some(std::mem::take(&mut account.info)), &mut told);
            }
            let slots: BTreeMap<U256, U256> = account
                .storage
                .iter()
                .filter(|(_, slot)| slot.is_changed())
                .map(|(key, slot)| (*key, slot.present_value()))
                .collect();
            for (slot, value) in slots {
                self.write_slot(*address, slot, value, &mut told);
            }
        }
        self.commit_to(told);
    }

    /// Replaces an account outside any transaction.
    pub fn set_account(&mut self, address: Address, info: AccountInfo) {
        let mut told = Told::since(self.commitment);
        self.write_account(address, Some(info), &mut told);
        self.commit_to(told);
    }

    /// Replaces one storage slot outside any transaction.
    pub fn set_slot(&mut self, address: Address, slot: U256, value: U256) {
        let mut told = Told::since(self.commitment);
        if !self.accounts.contains_key(&address) {
            self.write_account(address, Some(AccountInfo::default()), &mut told);
        }
        self.write_slot(address, slot, value, &mut told);
        self.commit_to(told);
    }

    /// Where the state is now, to come back to.
    pub fn mark(&self) -> Mark {
        Mark {
            block: self.head,
            writes: self.undo.back().map_or(0, Vec::len),
        }
    }

    /// Whether `mark` can still be reached by undoing.
    pub fn reaches(&self, mark: Mark) -> bool {
        self.lists_after(mark.block).is_some()
    }

    /// Undoes everything after `mark`; `false` (and nothing done) when it is out of reach.
    pub fn rewind(&mut self, mark: Mark) -> bool {
        let Some(lists) = self.lists_after(mark.block) else {
            return false;
        };
        for _ in 0..lists {
            for before in self.undo.pop_back().unwrap_or_default().into_iter().rev() {
                self.restore(before);
            }
        }
        self.head = mark.block;
        let list = self
            .undo
            .back_mut()
            .map(|list| list.split_off(mark.writes.min(list.len())));
        for before in list.unwrap_or_default().into_iter().rev() {
            self.restore(before);
        }
        true
    }

    /// The state as it was when block `number` was the head; `None` when that is out of reach.
    pub fn at(&self, number: u64) -> Option<Overlay> {
        let lists = self.lists_after(number)?;
        let mut overlay = Overlay::default();
        for before in self
            .undo
            .iter()
            .rev()
            .take(lists)
            .flat_map(|list| list.iter().rev())
        {
            match before {
                Before::Account(address, info) => {
                    overlay.accounts.insert(*address, info.clone());
                }
                Before::Slot(address, slot, value) => {
                    overlay.slots.insert((*address, *slot), *value);
                }
                Before::Commitment(_) => {}
            }
        }
        Some(overlay)
    }

    /// Forgets how to go back behind block `number`.
    pub fn forget_before(&mut self, number: u64) {
        let oldest = (self.head + 1).saturating_sub(self.undo.len() as u64);
        for _ in oldest..number.min(self.head) {
            self.undo.pop_front();
        }
    }

    /// How many undo lists belong to blocks after `number`.
    fn lists_after(&self, number: u64) -> Option<usize> {
        let lists = usize::try_from(self.head.checked_sub(number)?).ok()?;
        (lists < self.undo.len()).then_some(lists)
    }

    fn wipe(&mut self, address: &Address, told: &mut Told) {
        let slots: Vec<U256> = self
            .accounts
            .get(address)
            .map(|entry| entry.storage.keys().copied().collect())
            .unwrap_or_default();
        let mut slots = slots;
        slots.sort();
        for slot in slots {
            self.write_slot(*address, slot, U256::ZERO, told);
        }
    }

    fn write_account(&mut self, address: Address, info: Option<AccountInfo>, told: &mut Told) {
        told.account(&address, info.as_ref());
        let before = match info {
            None => self.accounts.remove(&address).map(|entry| entry.info),
            Some(mut info) => {
                match &info.code {
                    Some(code) if !code.is_empty() => {
                        self.codes.entry(info.code_hash).or_insert_with(|| code.clone());
                    }
                    Some(_) => {}
                    None if info.code_hash == KECCAK_EMPTY => info.code = Some(Bytecode::default()),
                    None => info.code = self.codes.get(&info.code_hash).cloned(),
                }
                match self.accounts.entry(address) {
                    std::collections::hash_map::Entry::Occupied(mut entry) => {
                        Some(std::mem::replace(&mut entry.get_mut().info, info))
                    }
                    std::collections::hash_map::Entry::Vacant(entry) => {
                        entry.insert(Entry {
                            info,
                            storage: U256Map::default(),
                        });
                        None
                    }
                }
            }
        };
        self.record(Before::Account(address, before));
    }

    fn write_slot(&mut self, address: Address, slot: U256, value: U256, told: &mut Told) {
        told.slot(&address, &slot, &value);
        let Some(entry) = self.accounts.get_mut(&address) else {
            return;
        };
        let before = if value.is_zero() {
            entry.storage.remove(&slot)
        } else {
            entry.storage.insert(slot, value)
        };
        self.record(Before::Slot(address, slot, before.unwrap_or_default()));
    }

    fn commit_to(&mut self, told: Told) {
        let before = std::mem::replace(&mut self.commitment, told.finish());
        self.record(Before::Commitment(before));
    }

    fn record(&mut self, before: Before) {
        if let Some(list) = self.undo.back_mut() {
            list.push(before);
        }
    }

    fn restore(&mut self, before: Before) {
        match before {
            Before::Account(address, Some(info)) => self.accounts.entry(address).or_default().info = info,
            Before::Account(address, None) => {
                self.accounts.remove(&address);
            }
            Before::Slot(address, slot, value) => {
                let storage = &mut self.accounts.entry(address).or_default().storage;
                if value.is_zero() {
                    storage.remove(&slot);
                } else {
                    storage.insert(slot, value);
                }
            }
            Before::Commitment(commitment) => self.commitment = commitment,
        }
    }
}

impl Overlay {
    pub fn account<'a>(&'a self, state: &'a State, address: &Address) -> Option<&'a AccountInfo> {
        match self.accounts.get(address) {
            Some(info) => info.as_ref(),
            None => state.account(address),
        }
    }

    pub fn slot(&self, state: &State, address: &Address, slot: &U256) -> U256 {
        self.slots
            .get(&(*address, *slot))
            .copied()
            .unwrap_or_else(|| state.slot(address, slot))
    }
}

/// The bytes a commitment is the hash of.
struct Told(Vec<u8>);

impl Told {
    fn since(commitment: B256) -> Self {
        Self(commitment.to_vec())
    }

    fn account(&mut self, address: &Address, info: Option<&AccountInfo>) {
        self.0.push(b'a');
        self.0.extend_from_slice(address.as_slice());
        self.0.push(u8::from(info.is_some()));
        if let Some(info) = info {
            self.0.extend_from_slice(&info.balance.to_be_bytes::<32>());
            self.0.extend_from_slice(&info.nonce.to_be_bytes());
            self.0.extend_from_slice(info.code_hash.as_slice());
        }
    }

    fn slot(&mut self, address: &Address, slot: &U256, value: &U256) {
        self.0.push(b's');
        self.0.extend_from_slice(address.as_slice());
        self.0.extend_from_slice(&slot.to_be_bytes::<32>());
        self.0.extend_from_slice(&value.to_be_bytes::<32>());
    }

    fn finish(self) -> B256 {
        keccak256(self.0)
    }
}
