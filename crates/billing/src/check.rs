//! The check: does the ledger agree with itself, and with the chain?
//!
//! For every organization, at the block the index has reached,
//! *on chain = available + unsettled + withdrawing + unconfirmed in − out + dust*; the same for the
//! orchestrator, which holds what was settled and not yet withdrawn. A difference is reported,
//! never corrected.

mod report;

pub use report::{Difference, LedgerReport, OrchestratorCheck, OrgCheck};

use crate::{
    chain::ChainError,
    ledger::{LedgerSnapshot, OrgPosition},
    ports::{Books, ChainReader},
    scale::Scale,
};
use haithe_kernel::{Decimals, Failure, Kind, StoreError, TokenUnits, Usdt, WalletAddress};
use std::{fmt, sync::Arc};

/// Compares the whole ledger with itself and with the chain.
pub struct LedgerCheck {
    books: Arc<dyn Books>,
    reader: Arc<dyn ChainReader>,
    orchestrator: WalletAddress,
    decimals: Decimals,
}

/// Why the check could not be made. It says nothing about the ledger.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The ledger could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The chain gave no answer. Checking needs a node that knows balances at the index's block.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl Failure for CheckError {
    fn kind(&self) -> Kind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Chain(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Chain(error) => error.code(),
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Store(error) => error.retry_after(),
            Self::Chain(error) => error.retry_after(),
        }
    }
}

impl LedgerCheck {
    /// A check of `books` against what `orchestrator` and its organizations hold on chain.
    pub fn new(
        books: Arc<dyn Books>,
        reader: Arc<dyn ChainReader>,
        orchestrator: WalletAddress,
        decimals: Decimals,
    ) -> Self {
        Self {
            books,
            reader,
            orchestrator,
            decimals,
        }
    }

    /// Checks everything. A difference is looked at twice, because the chain may be reorganized
    /// between reading the ledger and reading the balances; one that stays is real.
    ///
    /// # Errors
    /// [`CheckError`] when the ledger or the chain could not be read.
    pub async fn run(&self) -> Result<LedgerReport, CheckError> {
        let first = self.look().await?;
        if first.is_clean() {
            return Ok(first);
        }
        self.look().await
    }

    async fn look(&self) -> Result<LedgerReport, CheckError> {
        let snapshot = self.books.snapshot().await?;
        // The orchestrator first, so that its balance is there without any organization.
        let holders = std::iter::once(self.orchestrator)
            .chain(snapshot.orgs.iter().map(|position| position.address))
            .collect::<Vec<_>>();
        let asked = holders.len();
        let balances = self.reader.token_balances(holders, Some(snapshot.block)).await?;
        let (Some(held), true) = (balances.first().copied(), balances.len() == asked) else {
            return Err(
                ChainError::unavailable("the node answered fewer balances than it was asked for").into(),
            );
        };
        let onchain = balances.iter().skip(1);
        let orgs = snapshot
            .orgs
            .iter()
            .zip(onchain)
            .map(|(position, onchain)| self.org(position, *onchain))
            .collect();
        Ok(LedgerReport {
            block: snapshot.block,
            at: snapshot.at,
            decimals: self.decimals,
            orgs,
            orchestrator: self.orchestrator(&snapshot, held),
            escrow: snapshot.escrow,
            sum_of_postings: snapshot.sum_of_postings,
            unbalanced: snapshot.unbalanced,
            drifted: snapshot.drifted,
            broken_receipts: snapshot.broken_receipts,
        })
    }

    fn org(&self, position: &OrgPosition, onchain: TokenUnits) -> OrgCheck {
        let nano = |amount: Usdt| i128::from(amount.nano());
        let inside = nano(position.available) + nano(position.unsettled) + nano(position.withdrawing);
        let scale = Scale::of(self.decimals);
        let expected = scale
            .nano(inside)
            .and_then(|sum| sum.checked_add(scale.units(position.unconfirmed_in)?))
            .and_then(|sum| sum.checked_sub(scale.units(position.unconfirmed_out)?))
            .and_then(|sum| sum.checked_add(scale.units(position.dust)?));
        OrgCheck {
            position: position.clone(),
            onchain,
            surplus: Difference::of(scale.units(onchain), expected),
            mirror: Difference::of(scale.nano(nano(position.mirror)), scale.nano(inside)),
        }
    }

    fn orchestrator(&self, snapshot: &LedgerSnapshot, onchain: TokenUnits) -> OrchestratorCheck {
        let scale = Scale::of(self.decimals);
        let expected = scale
            .nano(i128::from(snapshot.orchestrator_mirror.nano()))
            .and_then(|sum| sum.checked_add(scale.signed_units(snapshot.orchestrator_unconfirmed)?));
        OrchestratorCheck {
            address: self.orchestrator,
            onchain,
            surplus: Difference::of(scale.units(onchain), expected),
        }
    }
}

impl fmt::Debug for LedgerCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerCheck")
            .field("orchestrator", &self.orchestrator)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
