//! From captured calls to a batch.

use super::{Batch, BatchCredit, BatchItem, BatchLine, CarryKey, SealPolicy, SealedItem};
use crate::{
    capture::Payee,
    merkle::Tree,
    ports::SealInput,
    receipt::{RECEIPT_VERSION, leaf, receipt_id32},
};
use haithe_kernel::{CallId, Decimals, Failure, Kind, MoneyError, OrgId, Timestamp, Usdt, WalletAddress};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// Why items make no batch. Each is a defect of whoever gathered them: settlement stops loudly
/// rather than moving a wrong amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Nothing to settle.
    #[error("a batch needs at least one call")]
    Empty,
    /// More of `what` than the policy's `most`.
    #[error("the batch has more than {most} {what}")]
    TooLarge {
        /// Calls, organizations, or payees of one organization.
        what: &'static str,
        /// The bound.
        most: u32,
    },
    /// A call twice.
    #[error("call {0} is in the batch twice")]
    Twice(CallId),
    /// One organization with two contracts.
    #[error("organization {0} appears with two contracts")]
    TwoContracts(OrgId),
    /// A payee organization without a contract.
    #[error("organization {0} is a payee and its contract is not known")]
    UnknownPayee(OrgId),
    /// An organization that would pay itself, which the contract refuses.
    #[error("organization {0} would pay itself")]
    PaysItself(OrgId),
    /// A negative amount, or a sum beyond the range of money.
    #[error("an amount of organization {0} is out of range")]
    Amount(OrgId),
}

impl Failure for BatchError {
    fn kind(&self) -> Kind {
        Kind::Internal
    }
    fn code(&self) -> &'static str {
        "batch_defect"
    }
}

/// What one organization owes, payee by payee.
struct Owed {
    address: WalletAddress,
    /// In nano-USDT.
    payees: BTreeMap<Payee, i128>,
}

impl Batch {
    /// The batch of these items: one line per organization, in it whole base units per payee, the
    /// rest carried over. For every organization of the batch and every payee,
    /// items + old carry = credits + new carry.
    ///
    /// # Errors
    /// [`BatchError`] when there are no items, more than `policy` allows, or ones that contradict
    /// each other.
    pub fn build(
        seq: u64,
        input: SealInput,
        policy: &SealPolicy,
        now: Timestamp,
    ) -> Result<Self, BatchError> {
        if input.items.is_empty() {
            return Err(BatchError::Empty);
        }
        bounded("calls", input.items.len(), policy.max_items)?;

        let owed = owed(&input)?;
        bounded("organizations", owed.len(), policy.max_lines)?;

        let contracts: HashMap<_, _> = input.payee_orgs.iter().copied().collect();
        let mut lines = Vec::with_capacity(owed.len());
        let mut carry = Vec::new();
        for (org, owed) in owed {
            let (credits, rests) = credits(org, &owed, policy.decimals, &contracts)?;
            bounded(
                "payees of one organization",
                credits.len(),
                policy.max_credits_per_line,
            )?;
            carry.extend(rests);
            lines.push(BatchLine {
                org,
                address: owed.address,
                credits,
            });
        }

        let positions: HashMap<_, _> = (0u32..)
            .zip(&lines)
            .map(|(index, line)| (line.org, index))
            .collect();
        // Each item goes as its place comes: together they would take more than all else.
        let items: Result<Vec<_>, _> = input
            .items
            .into_iter()
            .map(|item| seal(seq, &item, positions.get(&item.org).copied()))
            .collect();
        let items: Arc<[_]> = items?.into();
        let root = Tree::new(items.iter().map(|item| item.leaf).collect()).root();
        Ok(Self {
            seq,
            root,
            lines,
            items,
            carry,
            sealed_at: now,
        })
    }
}

fn bounded(what: &'static str, count: usize, most: u32) -> Result<(), BatchError> {
    match u32::try_from(count) {
        Ok(count) if count <= most => Ok(()),
        _ => Err(BatchError::TooLarge { what, most }),
    }
}

fn owed(input: &SealInput) -> Result<BTreeMap<OrgId, Owed>, BatchError> {
    let mut orgs = BTreeMap::<OrgId, Owed>::new();
    let mut calls = HashSet::with_capacity(input.items.len());
    for item in &input.items {
        if !calls.insert(item.call) {
            return Err(BatchError::Twice(item.call));
        }
        let owed = orgs.entry(item.org).or_insert_with(|| Owed {
            address: item.org_address,
            payees: BTreeMap::new(),
        });
        if owed.address != item.org_address {
            return Err(BatchError::TwoContracts(item.org));
        }
        for (payee, amount) in &item.credits {
            owed.add(item.org, *payee, *amount)?;
        }
    }
    for (key, amount) in &input.carry {
        if let Some(owed) = orgs.get_mut(&key.org) {
            owed.add(key.org, key.payee, *amount)?;
        }
    }
    Ok(orgs)
}

impl Owed {
    fn add(&mut self, payer: OrgId, payee: Payee, amount: Usdt) -> Result<(), BatchError> {
        if amount.is_negative() {
            return Err(BatchError::Amount(payer));
        }
        if payee == Payee::Organization(payer) {
            return Err(BatchError::PaysItself(payer));
        }
        *self.payees.entry(payee).or_default() += i128::from(amount.nano());
        Ok(())
    }
}

type Credits = (Vec<BatchCredit>, Vec<(CarryKey, Usdt)>);

fn credits(
    org: OrgId,
    owed: &Owed,
    decimals: Decimals,
    contracts: &HashMap<OrgId, WalletAddress>,
) -> Result<Credits, BatchError> {
    let out_of_range = |_: MoneyError| BatchError::Amount(org);
    let mut credits = Vec::new();
    let mut rests = Vec::new();
    for (&payee, &nano) in &owed.payees {
        let total = i64::try_from(nano).map_err(|_| BatchError::Amount(org))?;
        let (units, rest) = Usdt::from_nano(total).to_units(decimals).map_err(out_of_range)?;
        rests.push((CarryKey { org, payee }, rest));
        if units.get() == 0 {
            continue;
        }
        let (amount, _no_dust) = Usdt::from_units(units, decimals).map_err(out_of_range)?;
        credits.push(BatchCredit {
            payee,
            address: address(payee, contracts)?,
            units,
            amount,
        });
    }
    Ok((credits, rests))
}

fn address(payee: Payee, contracts: &HashMap<OrgId, WalletAddress>) -> Result<WalletAddress, BatchError> {
    match payee {
        Payee::Platform => Ok(WalletAddress::new([0; 20])),
        Payee::Creator(address) => Ok(address),
        Payee::Organization(org) => contracts.get(&org).copied().ok_or(BatchError::UnknownPayee(org)),
    }
}

fn seal(seq: u64, item: &BatchItem, line: Option<u32>) -> Result<SealedItem, BatchError> {
    let wrong = BatchError::Amount(item.org);
    let charged = Usdt::checked_sum(item.credits.iter().map(|(_, amount)| *amount)).ok_or(wrong)?;
    let line = line.ok_or(wrong)?;
    let leaf = leaf(
        RECEIPT_VERSION,
        receipt_id32(item.call),
        seq,
        line,
        item.org_address,
        charged,
        item.receipt_hash,
    );
    Ok(SealedItem {
        call: item.call,
        line,
        leaf,
    })
}
