//! What the platform can take out of the orchestrator: its share, without what is kept there for payees
//! that cannot be paid for now.
//!
//! The contract pays escrow out of the platform's funds, and does not know how much of them that is. The
//! ledger does, so the amount is decided here and never by hand.

use crate::ledger::LedgerSnapshot;
use haithe_kernel::{Decimals, MoneyError, TokenUnits, Usdt, WalletAddress};

/// The platform's side of the orchestrator, as the chain shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlatformFunds {
    /// The only account that may take anything out.
    pub owner: WalletAddress,
    /// `platformFunds` of the contract, in base units: the platform's share and the escrow. Creators'
    /// earnings are not among them.
    pub held: TokenUnits,
    /// Number of the batch that the contract expects next.
    pub next_batch: u64,
}

/// Why nothing can be taken out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// The database is older than the chain, so its escrow is too.
    #[error(
        "the contract expects batch {chain}, but this database has sealed only {known} batches: use the newest \
         copy of the database"
    )]
    OldLedger {
        /// What the contract expects next.
        chain: u64,
        /// What this database would seal next.
        known: u64,
    },
    /// All of it is escrow, or there is none.
    #[error("there is nothing to withdraw: the contract holds {held} USDT, of which {kept} USDT are escrow")]
    Nothing {
        /// What the contract holds for the platform, in USDT.
        held: String,
        /// The part that belongs to payees, in USDT.
        kept: String,
    },
    /// An amount of zero.
    #[error("withdrawal amount must be greater than zero")]
    Zero,
    /// More than the platform's own.
    #[error("{wanted} USDT are more than the {most} USDT that can be withdrawn; {kept} USDT are escrow")]
    TooMuch {
        /// What was asked for, in USDT.
        wanted: String,
        /// What can be taken out, in USDT.
        most: String,
        /// The part that belongs to payees, in USDT.
        kept: String,
    },
    /// An amount that the token cannot express.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

/// The platform's funds, split into what is its own and what is not. All in base units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlatformShare {
    /// What the contract holds.
    pub held: TokenUnits,
    /// What has to stay: the ledger's escrow, and that of batches that are under way.
    pub kept: TokenUnits,
    decimals: Decimals,
}

impl PlatformShare {
    /// Splits the funds. `funds` must have been read before `snapshot`, so that what settles in between is
    /// kept rather than missed.
    ///
    /// # Errors
    /// [`PlatformError::OldLedger`] when the contract has settled batches that the database does not have,
    /// [`PlatformError::Money`] when the escrow is out of range.
    pub fn of(
        funds: &PlatformFunds,
        snapshot: &LedgerSnapshot,
        decimals: Decimals,
    ) -> Result<Self, PlatformError> {
        if funds.next_batch > snapshot.next_batch {
            return Err(PlatformError::OldLedger {
                chain: funds.next_batch,
                known: snapshot.next_batch,
            });
        }
        let escrow = [snapshot.escrow, snapshot.escrow_under_way];
        let escrow = Usdt::checked_sum(escrow).ok_or(MoneyError::OutOfRange)?;
        let (units, rest) = escrow.to_units(decimals)?;
        let more = TokenUnits::new(u128::from(rest.is_positive()));
        Ok(Self {
            held: funds.held,
            kept: units.checked_add(more).ok_or(MoneyError::OutOfRange)?,
            decimals,
        })
    }

    /// What is the platform's own.
    pub fn free(&self) -> TokenUnits {
        TokenUnits::new(self.held.get().saturating_sub(self.kept.get()))
    }

    /// What to take out: `wanted`, or everything that is the platform's own. More than a base unit has is
    /// rounded down.
    ///
    /// # Errors
    /// [`PlatformError::Nothing`], [`PlatformError::Zero`], [`PlatformError::TooMuch`].
    pub fn take(&self, wanted: Option<Usdt>) -> Result<TokenUnits, PlatformError> {
        let text = |units: TokenUnits| units.to_decimal(self.decimals);
        let free = self.free();
        if free.get() == 0 {
            return Err(PlatformError::Nothing {
                held: text(self.held),
                kept: text(self.kept),
            });
        }
        let Some(wanted) = wanted else {
            return Ok(free);
        };
        let (units, _) = wanted.to_units(self.decimals)?;
        if units.get() == 0 {
            return Err(PlatformError::Zero);
        }
        if units.get() > free.get() {
            return Err(PlatformError::TooMuch {
                wanted: wanted.to_string(),
                most: text(free),
                kept: text(self.kept),
            });
        }
        Ok(units)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_kernel::Timestamp;
    use proptest::prelude::*;

    const OWNER: WalletAddress = WalletAddress::new([1; 20]);

    fn funds(held: u128) -> PlatformFunds {
        PlatformFunds {
            owner: OWNER,
            held: TokenUnits::new(held),
            next_batch: 3,
        }
    }

    fn snapshot(escrow: i64, under_way: i64) -> LedgerSnapshot {
        LedgerSnapshot {
            block: 1,
            orgs: Vec::new(),
            sum_of_postings: 0,
            unbalanced: Vec::new(),
            drifted: Vec::new(),
            orchestrator_mirror: Usdt::ZERO,
            escrow: Usdt::from_nano(escrow),
            escrow_under_way: Usdt::from_nano(under_way),
            next_batch: 3,
            orchestrator_unconfirmed: 0,
            broken_receipts: 0,
            at: Timestamp::from_seconds(0),
        }
    }

    fn share(held: u128, escrow: i64, under_way: i64) -> PlatformShare {
        let six = Decimals::new(6).unwrap();
        PlatformShare::of(&funds(held), &snapshot(escrow, under_way), six).unwrap()
    }

    #[test]
    fn escrow_stays_whether_its_batch_is_final_or_under_way() {
        let share = share(10_000_000, 2_000_000_000, 1_000_000_000);
        assert_eq!(share.take(None), Ok(TokenUnits::new(7_000_000)));
        assert_eq!(share.take(Some(Usdt::whole(7))), Ok(TokenUnits::new(7_000_000)));
        let refused = share.take(Some(Usdt::from_nano(7_000_001_000))).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "7.000001 USDT are more than the 7 USDT that can be withdrawn; 3 USDT are escrow"
        );
    }

    #[test]
    fn what_is_below_a_base_unit_stays_too() {
        assert_eq!(share(10, 1, 0).free(), TokenUnits::new(9));
        assert_eq!(share(10, 1_000, 1).free(), TokenUnits::new(8));
    }

    #[test]
    fn nothing_is_taken_where_all_is_escrow_or_the_amount_is_zero() {
        let all = share(1_000_000, 1_000_000_000, 0).take(None);
        assert!(matches!(all, Err(PlatformError::Nothing { .. })), "{all:?}");
        let less = share(5, 1_000_000_000, 0).take(Some(Usdt::whole(1)));
        assert!(matches!(less, Err(PlatformError::Nothing { .. })), "{less:?}");
        assert_eq!(share(5, 0, 0).take(Some(Usdt::ZERO)), Err(PlatformError::Zero));
        let tiny = Usdt::from_nano(999);
        assert_eq!(share(5, 0, 0).take(Some(tiny)), Err(PlatformError::Zero));
    }

    #[test]
    fn a_ledger_that_is_older_than_the_chain_decides_nothing() {
        let mut old = snapshot(0, 0);
        old.next_batch = 2;
        let refused = PlatformShare::of(&funds(5), &old, Decimals::new(6).unwrap());
        assert_eq!(refused, Err(PlatformError::OldLedger { chain: 3, known: 2 }));
    }

    proptest! {
        #[test]
        fn escrow_is_always_left_in(
            held in 0u128..1_000_000, escrow in 0i64..1_000_000_000, under_way in 0i64..1_000_000_000,
            wanted in proptest::option::of(0i64..2_000_000_000),
        ) {
            let share = share(held, escrow, under_way);
            if let Ok(taken) = share.take(wanted.map(Usdt::from_nano)) {
                let left = (held - taken.get()) * 1_000;
                prop_assert!(left >= u128::try_from(escrow + under_way).unwrap());
                prop_assert!(taken.get() > 0);
            }
        }
    }
}
