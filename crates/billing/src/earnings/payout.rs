//! A creator's second payout address: for one whose own address the token refuses.
//!
//! It changes on chain only, by the creator's own transaction, and takes effect after the contracts' delay, so
//! that a stolen key does not redirect earnings at once.

use super::CreatorEarnings;
use crate::chain::ChainError;
use haithe_kernel::{Failure, Kind, StoreError, Timestamp, WalletAddress};
use haithe_orgs::{TransactionSummary, UnsignedTransaction};

/// What only a creator's wallet can do with its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreatorCall {
    /// Take all settled earnings out to the creator's own address.
    Withdraw,
    /// Take all settled earnings out to the payout address in effect.
    WithdrawTo(WalletAddress),
    /// Announce a second payout address.
    ProposePayout(WalletAddress),
    /// Take an announced payout address back before it takes effect.
    CancelPayout,
    /// Remove the payout address in effect, at once.
    RemovePayout,
}

impl CreatorCall {
    /// What the call does when `creator` sends it to the identity `contract`.
    pub fn summary(self, creator: WalletAddress, contract: WalletAddress) -> TransactionSummary {
        let summary = TransactionSummary::new;
        match self {
            Self::Withdraw => summary("Withdraw all settled creator earnings", contract, creator),
            Self::WithdrawTo(to) => summary(
                "Withdraw all settled creator earnings to the payout address",
                contract,
                to,
            ),
            Self::ProposePayout(to) => summary(
                "Announce the recipient as the second payout address of the creator's earnings, in effect after the \
                 contract's delay",
                creator,
                to,
            ),
            Self::CancelPayout => summary("Cancel the announced payout address", creator, contract),
            Self::RemovePayout => summary("Remove the second payout address at once", creator, contract),
        }
    }
}

/// A creator's payout addresses as the index recorded them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayoutRecord {
    /// The creator's identity on chain; `None` for a wallet that is not a creator.
    pub identity: Option<u64>,
    /// In effect until the next one is.
    pub current: Option<WalletAddress>,
    /// The newest announcement, which stays here after it took effect: `None` as the address removes.
    pub next: Option<(Option<WalletAddress>, Timestamp)>,
    /// The time of the newest indexed block.
    pub indexed_until: Timestamp,
}

/// A creator's second payout address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PayoutAddress {
    /// The one in effect.
    pub current: Option<WalletAddress>,
    /// The one that takes effect next, and when, in block time.
    pub next: Option<(WalletAddress, Timestamp)>,
}

impl PayoutRecord {
    /// What is in effect at the newest indexed block, by the contract's rule: an announcement is in effect
    /// from its time on.
    pub fn resolve(&self) -> PayoutAddress {
        match self.next {
            Some((to, at)) if at <= self.indexed_until => PayoutAddress {
                current: to,
                next: None,
            },
            next => PayoutAddress {
                current: self.current,
                next: next.and_then(|(to, at)| Some((to?, at))),
            },
        }
    }
}

/// Why there is no payout address, or nothing to sign.
#[derive(Debug, thiserror::Error)]
pub enum PayoutError {
    /// Another creator's are as if there were none.
    #[error("no such payout address; a wallet reads and changes its own alone")]
    NotYours,
    /// The wallet has no identity.
    #[error("this wallet is not a creator; register it first")]
    NotACreator,
    /// The zero address, or the creator's own.
    #[error(
        "`payout_address` must be neither the zero address nor the creator's own address, which can always be paid"
    )]
    Address,
    /// There is none to take back.
    #[error("no payout address is announced or in effect")]
    Nothing,
    /// The chain could not be asked.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for PayoutError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotYours => Kind::NotFound,
            Self::NotACreator => Kind::Forbidden,
            Self::Address => Kind::Invalid,
            Self::Nothing => Kind::Conflict,
            Self::Chain(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NotYours => "not_found",
            Self::NotACreator => "not_a_creator",
            Self::Address => "invalid_payout_address",
            Self::Nothing => "no_payout_address",
            Self::Chain(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Chain(error) => error.retry_after(),
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }
}

impl CreatorEarnings {
    /// The creator's second payout address, after the index caught up, and what the creator signs to take
    /// everything out to it, where it is in effect, there is something, and the chain is there.
    ///
    /// # Errors
    /// [`PayoutError::NotYours`] unless `caller` is the creator.
    pub async fn payout(
        &self,
        caller: WalletAddress,
        creator: WalletAddress,
    ) -> Result<(PayoutAddress, Option<UnsignedTransaction>), PayoutError> {
        let payout = self.record(caller, creator).await?.resolve();
        let Some(to) = payout.current else {
            return Ok((payout, None));
        };
        let earned = self.store.earned(creator).await?;
        let withdrawal = self
            .withdrawal(creator, &earned, CreatorCall::WithdrawTo(to))
            .await;
        Ok((payout, withdrawal))
    }

    /// What the creator signs to announce `to` as its second payout address.
    ///
    /// # Errors
    /// [`PayoutError`].
    pub async fn propose_payout(
        &self,
        caller: WalletAddress,
        creator: WalletAddress,
        to: WalletAddress,
    ) -> Result<(PayoutAddress, UnsignedTransaction), PayoutError> {
        let record = self.record(caller, creator).await?;
        if to.is_zero() || to == creator {
            return Err(PayoutError::Address);
        }
        self.change(creator, &record, CreatorCall::ProposePayout(to))
            .await
    }

    /// What the creator signs to cancel the announced address, or to remove the one in effect when none is
    /// announced.
    ///
    /// # Errors
    /// [`PayoutError`].
    pub async fn take_payout_back(
        &self,
        caller: WalletAddress,
        creator: WalletAddress,
    ) -> Result<(PayoutAddress, UnsignedTransaction), PayoutError> {
        let record = self.record(caller, creator).await?;
        let call = match record.resolve() {
            PayoutAddress { next: Some(_), .. } => CreatorCall::CancelPayout,
            PayoutAddress { current: Some(_), .. } => CreatorCall::RemovePayout,
            _ if record.identity.is_none() => return Err(PayoutError::NotACreator),
            _ => return Err(PayoutError::Nothing),
        };
        self.change(creator, &record, call).await
    }

    async fn record(
        &self,
        caller: WalletAddress,
        creator: WalletAddress,
    ) -> Result<PayoutRecord, PayoutError> {
        if caller != creator {
            return Err(PayoutError::NotYours);
        }
        self.chain.catch_up().await;
        Ok(self.store.payout(creator).await?)
    }

    async fn change(
        &self,
        creator: WalletAddress,
        record: &PayoutRecord,
        call: CreatorCall,
    ) -> Result<(PayoutAddress, UnsignedTransaction), PayoutError> {
        let identity = record.identity.ok_or(PayoutError::NotACreator)?;
        let transaction = self.transactions.compose(creator, identity, call).await?;
        Ok((record.resolve(), transaction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        earnings::Earned,
        ports::{MockCreatorTransactions, MockEarningsStore},
    };
    use haithe_kernel::{Decimals, Usdt};
    use haithe_orgs::ports::MockChainSync;
    use std::{collections::BTreeSet, sync::Arc};

    const CREATOR: WalletAddress = WalletAddress::new([7; 20]);
    const OTHER: WalletAddress = WalletAddress::new([8; 20]);
    const THIRD: WalletAddress = WalletAddress::new([9; 20]);
    const CONTRACT: WalletAddress = WalletAddress::new([5; 20]);

    const fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(second)
    }

    fn record(current: Option<WalletAddress>, next: Option<(Option<WalletAddress>, i64)>) -> PayoutRecord {
        PayoutRecord {
            identity: Some(3),
            current,
            next: next.map(|(to, second)| (to, at(second))),
            indexed_until: at(100),
        }
    }

    fn creators(record: PayoutRecord) -> CreatorEarnings {
        let mut store = MockEarningsStore::new();
        store.expect_payout().returning(move |_| Ok(record));
        store.expect_earned().returning(|_| {
            Ok(Earned {
                charged: Usdt::whole(2),
                settled: Usdt::whole(2),
                identity: Some(3),
                ..Earned::default()
            })
        });
        let mut transactions = MockCreatorTransactions::new();
        transactions.expect_compose().returning(|from, _, call| {
            Ok(UnsignedTransaction {
                from,
                to: CONTRACT,
                data: Vec::new(),
                chain_id: 1,
                summary: call.summary(from, CONTRACT),
            })
        });
        let mut chain = MockChainSync::new();
        chain.expect_catch_up().returning(|| true);
        let decimals = Decimals::new(18).unwrap();
        CreatorEarnings::new(Arc::new(store), Arc::new(transactions), Arc::new(chain), decimals)
    }

    #[test]
    fn an_announcement_is_in_effect_from_its_time_on() {
        let resolved = |current, next| record(current, next).resolve();
        let expect = |current, next: Option<(WalletAddress, i64)>| PayoutAddress {
            current,
            next: next.map(|(to, second)| (to, at(second))),
        };
        assert_eq!(resolved(None, None), expect(None, None));
        let waiting = resolved(Some(OTHER), Some((Some(THIRD), 101)));
        assert_eq!(waiting, expect(Some(OTHER), Some((THIRD, 101))));
        let acting = resolved(Some(OTHER), Some((Some(THIRD), 100)));
        assert_eq!(acting, expect(Some(THIRD), None));
        let removed = resolved(Some(OTHER), Some((None, 99)));
        assert_eq!(removed, expect(None, None));
    }

    #[tokio::test]
    async fn a_creator_reads_and_changes_its_own_alone() {
        let creators = creators(record(None, None));
        let refused = creators.payout(OTHER, CREATOR).await.unwrap_err();
        assert!(matches!(refused, PayoutError::NotYours));
        let refused = creators.propose_payout(OTHER, CREATOR, THIRD).await.unwrap_err();
        assert!(matches!(refused, PayoutError::NotYours));
        let refused = creators.take_payout_back(OTHER, CREATOR).await.unwrap_err();
        assert!(matches!(refused, PayoutError::NotYours));
    }

    #[tokio::test]
    async fn an_address_is_announced_unless_it_is_the_creators_own_or_none() {
        let creators = creators(record(None, None));
        let (_, transaction) = creators.propose_payout(CREATOR, CREATOR, OTHER).await.unwrap();
        assert_eq!(
            transaction.summary,
            CreatorCall::ProposePayout(OTHER).summary(CREATOR, CONTRACT)
        );
        for address in [CREATOR, WalletAddress::new([0; 20])] {
            let refused = creators.propose_payout(CREATOR, CREATOR, address).await;
            assert!(matches!(refused, Err(PayoutError::Address)));
        }
    }

    #[tokio::test]
    async fn the_announced_address_is_cancelled_before_the_one_in_effect_is_removed() {
        for (current, next, call) in [
            (
                Some(OTHER),
                Some((Some(THIRD), 101)),
                Some(CreatorCall::CancelPayout),
            ),
            (Some(OTHER), None, Some(CreatorCall::RemovePayout)),
            (None, Some((Some(THIRD), 99)), Some(CreatorCall::RemovePayout)),
            (None, None, None),
        ] {
            let back = creators(record(current, next))
                .take_payout_back(CREATOR, CREATOR)
                .await;
            match call {
                Some(call) => assert_eq!(back.unwrap().1.summary, call.summary(CREATOR, CONTRACT)),
                None => assert!(matches!(back, Err(PayoutError::Nothing))),
            }
        }
    }

    #[tokio::test]
    async fn a_wallet_without_an_identity_has_nothing_to_sign() {
        let nobody = PayoutRecord {
            identity: None,
            ..record(None, None)
        };
        let creators = creators(nobody);
        let refused = creators.propose_payout(CREATOR, CREATOR, OTHER).await;
        assert!(matches!(refused, Err(PayoutError::NotACreator)));
        let refused = creators.take_payout_back(CREATOR, CREATOR).await;
        assert!(matches!(refused, Err(PayoutError::NotACreator)));
        let shown = creators.payout(CREATOR, CREATOR).await.unwrap();
        assert_eq!(shown, (PayoutAddress::default(), None));
    }

    #[tokio::test]
    async fn earnings_can_be_taken_out_to_the_address_in_effect_only() {
        let (_, withdrawal) = creators(record(Some(OTHER), Some((Some(THIRD), 101))))
            .payout(CREATOR, CREATOR)
            .await
            .unwrap();
        assert_eq!(withdrawal.unwrap().summary.to, OTHER);
        let (_, withdrawal) = creators(record(None, Some((Some(THIRD), 101))))
            .payout(CREATOR, CREATOR)
            .await
            .unwrap();
        assert_eq!(withdrawal, None);
    }

    #[test]
    fn different_calls_never_share_an_action() {
        let calls = [
            CreatorCall::Withdraw,
            CreatorCall::WithdrawTo(OTHER),
            CreatorCall::ProposePayout(OTHER),
            CreatorCall::CancelPayout,
            CreatorCall::RemovePayout,
        ];
        let actions: BTreeSet<_> = calls
            .iter()
            .map(|call| call.summary(CREATOR, CONTRACT).action)
            .collect();
        assert_eq!(actions.len(), calls.len());
    }
}
