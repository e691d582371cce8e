//! From captured calls to a batch.

use super::{Batch, BatchCredit, BatchItem, BatchLine, CarryKey, SealPolicy, SealedItem};
use crate::{
    capture::Payee,
    merkle::Tree,
    ports::SealInput,
    receipt::{RECEIPT_VERSION, leaf, receipt_id32},
};
use haithe_kernel::{
    CallId, Decimals, Failure, Kind, MoneyError, OrgId, Timestamp, TokenUnits, Usdt, WalletAddress,
};
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
    /// More gas than the policy allows.
    #[error("the batch may need {gas} gas, more than the bound of {most}")]
    TooMuchGas {
        /// The bound of what it needs.
        gas: u64,
        /// The policy's bound.
        most: u64,
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
    /// A payout of escrow to the platform, of nothing, or beyond the range of money.
    #[error("a payout of escrow is out of range")]
    Payout,
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
    payees: BTreeMap<Payee, OwedTo>,
    since: Timestamp,
}

/// What is owed to one payee.
#[derive(Default)]
struct OwedTo {
    /// In nano-USDT, with what was carried.
    nano: i128,
    carried: Usdt,
    carried_since: Option<Timestamp>,
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
        if input.is_empty() {
            return Err(BatchError::Empty);
        }
        bounded("calls", input.items.len(), policy.max_items)?;

        let owed = owed(&input, now)?;
        bounded("organizations", owed.len(), policy.max_lines)?;

        let contracts: HashMap<_, _> = input.payee_orgs.iter().copied().collect();
        let mut lines = Vec::with_capacity(owed.len());
        let mut carry = Vec::new();
        for (org, owed) in owed {
            let withdrawing = input.withdrawing.contains(&org);
            let is_due = |owed: &OwedTo| policy.is_due(owed.nano, owed.carried_since, withdrawing, now);
            let unpayable = |payee| input.unpayable.contains(&CarryKey { org, payee });
            let (credits, rests) = credits(org, &owed, policy.decimals, &contracts, is_due, unpayable)?;
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
                since: owed.since,
            });
        }
        let payouts = payouts(&input.payouts, policy.decimals, &contracts)?;
        let gas = policy.gas.bound_of(&lines, &payouts);
        if gas > policy.batch_gas {
            return Err(BatchError::TooMuchGas {
                gas,
                most: policy.batch_gas,
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
            payouts,
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

fn owed(input: &SealInput, now: Timestamp) -> Result<BTreeMap<OrgId, Owed>, BatchError> {
    let new = |address| Owed {
        address,
        payees: BTreeMap::new(),
        since: now,
    };
    let mut orgs: BTreeMap<OrgId, Owed> = input
        .carried
        .iter()
        .map(|(org, address)| (*org, new(*address)))
        .collect();
    let mut calls = HashSet::with_capacity(input.items.len());
    for item in &input.items {
        if !calls.insert(item.call) {
            return Err(BatchError::Twice(item.call));
        }
        let owed = orgs.entry(item.org).or_insert_with(|| new(item.org_address));
        if owed.address != item.org_address {
            return Err(BatchError::TwoContracts(item.org));
        }
        owed.since = owed.since.min(item.due_since);
        for (payee, amount) in &item.credits {
            if amount.is_negative() {
                return Err(BatchError::Amount(item.org));
            }
            owed.to(item.org, *payee)?.nano += i128::from(amount.nano());
        }
    }
    for carry in &input.carry {
        if let Some(owed) = orgs.get_mut(&carry.key.org) {
            let owed = owed.to(carry.key.org, carry.key.payee)?;
            owed.nano += i128::from(carry.amount.nano());
            owed.carried = carry.amount;
            owed.carried_since = Some(carry.since);
        }
    }
    Ok(orgs)
}

impl Owed {
    fn to(&mut self, payer: OrgId, payee: Payee) -> Result<&mut OwedTo, BatchError> {
        if payee == Payee::Organization(payer) {
            return Err(BatchError::PaysItself(payer));
        }
        Ok(self.payees.entry(payee).or_default())
    }
}

type Credits = (Vec<BatchCredit>, Vec<(CarryKey, Usdt)>);

fn credits(
    org: OrgId,
    owed: &Owed,
    decimals: Decimals,
    contracts: &HashMap<OrgId, WalletAddress>,
    is_due: impl Fn(&OwedTo) -> bool,
    is_unpayable: impl Fn(Payee) -> bool,
) -> Result<Credits, BatchError> {
    let out_of_range = |_: MoneyError| BatchError::Amount(org);
    let mut credits = Vec::new();
    let mut rests = Vec::new();
    for (&payee, owed) in &owed.payees {
        let total = i64::try_from(owed.nano).map_err(|_| BatchError::Amount(org))?;
        let total = Usdt::from_nano(total);
        let mut rest = total;
        if is_due(owed) {
            let units;
            (units, rest) = total.to_units(decimals).map_err(out_of_range)?;
            let (amount, _no_dust) = Usdt::from_units(units, decimals).map_err(out_of_range)?;
            credits.push(BatchCredit {
                payee,
                address: address(payee, contracts)?,
                units,
                amount,
                escrow: payee != Payee::Platform && is_unpayable(payee),
            });
        }
        if rest != owed.carried {
            rests.push((CarryKey { org, payee }, rest));
        }
    }
    Ok((credits, rests))
}

/// What is paid out of escrow, in whole base units; the rest stays there.
fn payouts(
    payouts: &[(Payee, Usdt)],
    decimals: Decimals,
    contracts: &HashMap<OrgId, WalletAddress>,
) -> Result<Vec<BatchCredit>, BatchError> {
    let out_of_range = |_: MoneyError| BatchError::Payout;
    let mut credits = Vec::new();
    for (payee, amount) in payouts {
        let (units, _rest) = amount.to_units(decimals).map_err(out_of_range)?;
        let (amount, _no_dust) = Usdt::from_units(units, decimals).map_err(out_of_range)?;
        if *payee == Payee::Platform || units == TokenUnits::ZERO {
            return Err(BatchError::Payout);
        }
        credits.push(BatchCredit {
            payee: *payee,
            address: address(*payee, contracts)?,
            units,
            amount,
            escrow: false,
        });
    }
    Ok(credits)
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
