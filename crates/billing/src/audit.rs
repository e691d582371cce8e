//! The audit of an organization: do its receipts add up to what was taken from its contract?
//!
//! What was taken is read from the chain alone: the token's transfers out of the organization's
//! contract in the transactions that settled batches. Every receipt must be provable against the
//! root that such a transaction left on chain. What the receipts say beyond what was taken is, per
//! payee, less than a base unit or than the smallest credit, and waits for more of its kind.

mod report;

pub use report::{AuditProblem, AuditReport, Flaw, Tally};

use crate::{
    capture::Payee,
    chain::{ChainEvent, EventBody, Hash32},
    check::CheckError,
    merkle,
    ports::{Books, ChainReader},
    range::all_events,
    receipt::{Receipt, ReceiptDocument},
};
use haithe_kernel::{Decimals, OrgId, TokenUnits, Usdt, WalletAddress};
use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

const PAGE: u32 = 500;

/// Compares an organization's receipts with what the chain shows was taken.
pub struct ReceiptAudit {
    books: Arc<dyn Books>,
    reader: Arc<dyn ChainReader>,
    start: u64,
    range: u64,
    decimals: Decimals,
    min_credit: Usdt,
}

/// What the chain says about settlement.
struct Settled {
    roots: HashMap<u64, Hash32>,
    skipped: HashSet<(u64, u32)>,
    /// `None` when a transfer is beyond 128 bits.
    taken: Option<TokenUnits>,
}

impl ReceiptAudit {
    /// Reads the chain from block `start`, at most `range` blocks at once.
    pub fn new(
        books: Arc<dyn Books>,
        reader: Arc<dyn ChainReader>,
        start: u64,
        range: u64,
        decimals: Decimals,
    ) -> Self {
        Self {
            books,
            reader,
            start,
            range,
            decimals,
            min_credit: Usdt::ZERO,
        }
    }

    /// The same audit, with credits below this waiting for more of their kind.
    #[must_use]
    pub fn with_min_credit(self, min_credit: Usdt) -> Self {
        Self { min_credit, ..self }
    }

    /// Audits one organization up to the chain's head.
    ///
    /// # Errors
    /// [`CheckError`] when the ledger or the chain could not be read.
    pub async fn run(&self, org: OrgId, address: WalletAddress) -> Result<AuditReport, CheckError> {
        let block = self.reader.head().await?.number;
        let events = all_events(&*self.reader, self.start, block, &[address], self.range).await?;
        let settled = Settled::read(&events, address);
        let mut report = AuditReport::new(org, address, block, self.decimals, settled.taken);
        let mut payees = HashSet::new();
        let mut after = None;
        loop {
            let page = self.books.receipts(org, after, PAGE).await?;
            let last = page.last().map(|receipt| receipt.call);
            for receipt in &page {
                match settled.judge(receipt, address) {
                    Ok(Verdict::Settled(lines)) => {
                        report.settled.add(receipt.charged);
                        payees.extend(lines);
                    }
                    Ok(Verdict::Pending) => report.pending.add(receipt.charged),
                    Err(flaw) => report.problems.push(AuditProblem {
                        call: receipt.call,
                        flaw,
                    }),
                }
            }
            if last.is_none() || last == after {
                break;
            }
            after = last;
        }
        report.payees = payees.len();
        report.min_credit = self.min_credit;
        Ok(report)
    }
}

enum Verdict {
    /// Proven, and paid to these payees.
    Settled(Vec<Payee>),
    /// In no batch that the chain has, or in a line that was skipped.
    Pending,
}

impl Settled {
    fn read(events: &[ChainEvent], org: WalletAddress) -> Self {
        let mut roots = HashMap::new();
        let mut skipped = HashSet::new();
        let mut settling = HashSet::new();
        for event in events {
            match event.body {
                EventBody::BatchSettled { seq, root, .. } => {
                    roots.insert(seq, root);
                    settling.insert(event.tx);
                }
                EventBody::LineSkipped { seq, line, .. } => {
                    skipped.insert((seq, line));
                }
                _ => {}
            }
        }
        let taken = events.iter().filter(|event| settling.contains(&event.tx));
        let taken = taken.filter_map(|event| match event.body {
            EventBody::Transfer { from, amount, .. } if from == org => Some(amount),
            _ => None,
        });
        let taken = taken
            .into_iter()
            .try_fold(0u128, |sum, amount| sum.checked_add(amount?));
        Self {
            roots,
            skipped,
            taken: taken.map(TokenUnits::new),
        }
    }

    fn judge(&self, receipt: &Receipt, org: WalletAddress) -> Result<Verdict, Flaw> {
        let document = ReceiptDocument::parse(&receipt.sealed.json)
            .map_err(|error| Flaw::Document(error.to_string()))?;
        if document.seal().hash != receipt.sealed.hash {
            return Err(Flaw::Hash);
        }
        if document.call != receipt.call || document.context.org_address != org {
            return Err(Flaw::Foreign);
        }
        let sum = Usdt::checked_sum(document.lines.iter().map(|line| line.amount));
        if document.charged != receipt.charged || sum != Some(receipt.charged) {
            return Err(Flaw::Amount);
        }
        let Some(settlement) = &receipt.settlement else {
            return Ok(Verdict::Pending);
        };
        let (seq, line) = (settlement.seq, settlement.line);
        let root = match self.roots.get(&seq) {
            Some(root) if !self.skipped.contains(&(seq, line)) => root,
            _ => return Ok(Verdict::Pending),
        };
        if !merkle::verify(root, &document.leaf(seq, line), &settlement.proof) {
            return Err(Flaw::Proof { seq, line });
        }
        let paid = document.lines.iter().filter(|line| line.amount.is_positive());
        Ok(Verdict::Settled(paid.map(|line| line.payee).collect()))
    }
}

impl fmt::Debug for ReceiptAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiptAudit")
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
