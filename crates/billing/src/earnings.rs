//! Use case: what creators earned, and how they take it out.
//!
//! A product's price is a line of the charge of the call that used it. From capture to the end of its
//! batch it is pending; then it is the creator's in the identity contract, from where the creator's
//! own wallet withdraws it, to its own address or to its second payout address.

mod payout;

pub use payout::{CreatorCall, PayoutAddress, PayoutError, PayoutRecord};

mod account;

pub use account::EarningsAccount;

use crate::{
    ports::{CreatorTransactions, EarningsStore},
    usage::Day,
};
use haithe_kernel::{Decimals, Failure, Kind, Listed, Page, ProductId, StoreError, Usdt, WalletAddress};
use haithe_orgs::{UnsignedTransaction, ports::ChainSync};
use std::sync::Arc;

/// Everything a creator earned, all time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Earned {
    /// The lines of all charges.
    pub charged: Usdt,
    /// Of that, what the contracts credited for good.
    pub settled: Usdt,
    /// Of that, what the creator took out for good.
    pub withdrawn: Usdt,
    /// Of that, what the creator took out in blocks that are not final.
    pub leaving: Usdt,
    /// The creator's identity on chain, if it has one.
    pub identity: Option<u64>,
}

impl Earned {
    /// Charged and not yet settled; spent by nobody until it is.
    pub fn pending(&self) -> Usdt {
        self.charged.saturating_sub(self.settled).max(Usdt::ZERO)
    }

    /// What can be taken out now.
    pub fn withdrawable(&self) -> Usdt {
        let taken = self.withdrawn.saturating_add(self.leaving);
        self.settled.saturating_sub(taken).max(Usdt::ZERO)
    }
}

/// What one product earned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductEarnings {
    /// The product.
    pub product: ProductId,
    /// Its name.
    pub name: Option<String>,
    /// Calls that were charged for it.
    pub calls: u64,
    /// What they were charged.
    pub charged: Usdt,
}

/// What a creator is told.
#[derive(Debug, Clone)]
pub struct Earnings {
    /// In all.
    pub earned: Earned,
    /// By product, in the days that were asked for.
    pub products: Listed<ProductEarnings>,
    /// What the creator signs to withdraw everything, where there is something and the chain is there.
    pub withdrawal: Option<UnsignedTransaction>,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum EarningsError {
    /// Somebody else's are as if there were none.
    #[error("no such earnings; a wallet reads its own alone")]
    NotYours,
    /// Nothing lies between.
    #[error("`from` is after `until`")]
    Range,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for EarningsError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotYours => Kind::NotFound,
            Self::Range => Kind::Invalid,
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NotYours => "not_found",
            Self::Range => "invalid_range",
            Self::Store(error) => error.code(),
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }
}

/// Creators' earnings.
pub struct CreatorEarnings {
    store: Arc<dyn EarningsStore>,
    transactions: Arc<dyn CreatorTransactions>,
    chain: Arc<dyn ChainSync>,
    decimals: Decimals,
}

impl CreatorEarnings {
    /// Composes the use case; `decimals` are the payment token's.
    pub fn new(
        store: Arc<dyn EarningsStore>,
        transactions: Arc<dyn CreatorTransactions>,
        chain: Arc<dyn ChainSync>,
        decimals: Decimals,
    ) -> Self {
        Self {
            store,
            transactions,
            chain,
            decimals,
        }
    }

    /// What `creator` earned, after the index caught up; by product within `days`, from the first up
    /// to and with the last. A wallet that published nothing earned nothing.
    ///
    /// # Errors
    /// [`EarningsError::NotYours`] unless `caller` is the creator, [`EarningsError::Range`].
    pub async fn of(
        &self,
        caller: WalletAddress,
        creator: WalletAddress,
        (from, until): (Option<Day>, Option<Day>),
        page: Page,
    ) -> Result<Earnings, EarningsError> {
        if caller != creator {
            return Err(EarningsError::NotYours);
        }
        if let (Some(from), Some(until)) = (from, until)
            && from > until
        {
            return Err(EarningsError::Range);
        }
        self.chain.catch_up().await;
        let earned = self.store.earned(creator).await?;
        let products = self.store.by_product(creator, from, until, page).await?;
        Ok(Earnings {
            withdrawal: self.withdrawal(creator, &earned, CreatorCall::Withdraw).await,
            earned,
            products,
        })
    }

    /// Figures are worth having while the chain is away.
    async fn withdrawal(
        &self,
        creator: WalletAddress,
        earned: &Earned,
        call: CreatorCall,
    ) -> Option<UnsignedTransaction> {
        let identity = earned.identity.filter(|_| earned.withdrawable().is_positive())?;
        match self.transactions.compose(creator, identity, call).await {
            Ok(mut transaction) => {
                let amount = earned.withdrawable().to_units(self.decimals);
                let amount = amount.ok().map(|(amount, _)| amount);
                transaction.summary = transaction.summary.with_amount(amount);
                Some(transaction)
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "no withdrawal can be composed"
                );
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chain::ChainError,
        ports::{MockCreatorTransactions, MockEarningsStore},
    };
    use haithe_orgs::{TransactionSummary, ports::MockChainSync};
    use proptest::prelude::*;

    const CREATOR: WalletAddress = WalletAddress::new([7; 20]);

    fn earned(charged: i64, settled: i64, withdrawn: i64, leaving: i64) -> Earned {
        Earned {
            charged: Usdt::from_nano(charged),
            settled: Usdt::from_nano(settled),
            withdrawn: Usdt::from_nano(withdrawn),
            leaving: Usdt::from_nano(leaving),
            identity: Some(3),
        }
    }

    fn earnings(earned: Earned, reachable: bool) -> CreatorEarnings {
        let mut store = MockEarningsStore::new();
        store.expect_earned().returning(move |_| Ok(earned));
        store.expect_by_product().returning(|_, _, _, _| {
            Ok(Listed {
                items: Vec::new(),
                total: 0,
            })
        });
        let mut transactions = MockCreatorTransactions::new();
        transactions.expect_compose().returning(move |from, id, _| {
            let transaction = UnsignedTransaction {
                from,
                to: WalletAddress::new([8; 20]),
                data: id.to_be_bytes().to_vec(),
                chain_id: 1,
                summary: TransactionSummary::new("Withdraw", WalletAddress::new([8; 20]), from),
            };
            reachable
                .then_some(transaction)
                .ok_or(ChainError::unavailable("away"))
        });
        let mut chain = MockChainSync::new();
        chain.expect_catch_up().returning(|| true);
        CreatorEarnings::new(
            Arc::new(store),
            Arc::new(transactions),
            Arc::new(chain),
            Decimals::new(18).unwrap(),
        )
    }

    async fn withdrawal(earned: Earned, reachable: bool) -> Option<UnsignedTransaction> {
        let all = (None, None);
        let earnings = earnings(earned, reachable)
            .of(CREATOR, CREATOR, all, Page::FIRST)
            .await;
        earnings.unwrap().withdrawal
    }

    #[tokio::test]
    async fn earnings_are_their_creator_s_alone() {
        let other = WalletAddress::new([9; 20]);
        let refused = earnings(earned(5, 5, 0, 0), true)
            .of(other, CREATOR, (None, None), Page::FIRST)
            .await;
        assert!(matches!(refused, Err(EarningsError::NotYours)));
        let backwards = (Some(Day(2)), Some(Day(1)));
        let refused = earnings(earned(5, 5, 0, 0), true)
            .of(CREATOR, CREATOR, backwards, Page::FIRST)
            .await;
        assert!(matches!(refused, Err(EarningsError::Range)));
    }

    #[tokio::test]
    async fn there_is_something_to_sign_when_there_is_something_to_withdraw() {
        let transaction = withdrawal(earned(9, 5, 3, 1), true).await.unwrap();
        assert_eq!(
            (transaction.from, transaction.data),
            (CREATOR, 3u64.to_be_bytes().to_vec())
        );
        assert_eq!(
            withdrawal(earned(9, 5, 3, 2), true).await,
            None,
            "the rest is leaving"
        );
        assert_eq!(
            withdrawal(earned(9, 0, 0, 0), true).await,
            None,
            "all of it is pending"
        );
        assert_eq!(
            withdrawal(earned(9, 5, 3, 1), false).await,
            None,
            "the chain is away"
        );
        let nobody = Earned {
            identity: None,
            ..earned(9, 5, 0, 0)
        };
        assert_eq!(withdrawal(nobody, true).await, None);
    }

    proptest! {
        #[test]
        fn what_was_charged_is_pending_withdrawable_or_gone(
            withdrawn in 0i64..1_000, leaving in 0i64..1_000, kept in 0i64..1_000, pending in 0i64..1_000,
        ) {
            let settled = withdrawn + leaving + kept;
            let earned = earned(settled + pending, settled, withdrawn, leaving);
            prop_assert_eq!(earned.pending().nano(), pending);
            prop_assert_eq!(earned.withdrawable().nano(), kept);
        }
    }
}
