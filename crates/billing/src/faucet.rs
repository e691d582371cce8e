//! Use case: test money for whoever asks, on a development chain.

use crate::{
    chain::Hash32,
    outbox::{TxIntentId, TxState},
    ports::TestTokens,
};
use haithe_kernel::{ClientNetwork, Failure, Kind, StoreError, Timestamp, Usdt, WalletAddress};
use std::{error::Error, sync::Arc, time::Duration};

/// What one grant is.
pub const AMOUNT: Usdt = Usdt::whole(500);
/// How long a wallet waits for its next one.
pub const EVERY: Duration = Duration::from_secs(60 * 60);

/// A grant that was written to the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its intent.
    pub id: TxIntentId,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// How far it has come.
    pub state: TxState,
    /// The transaction, once there is one: the mined one, else the newest that was sent.
    pub transaction: Option<Hash32>,
}

/// A grant on its way to the chain, or there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// How much.
    pub amount: Usdt,
    /// To whom.
    pub recipient: WalletAddress,
    /// The transaction. One that waits long may be replaced by another with a higher fee.
    pub transaction: Hash32,
}

/// Why nothing was granted, or nobody can say yet.
#[derive(Debug, thiserror::Error)]
pub enum FaucetError {
    /// The wallet's last grant is too young.
    #[error("this wallet was given test tokens less than an hour ago; ask again in {} s", .0.as_secs().max(1))]
    TooSoon(Duration),
    /// A daily budget is spent for so long.
    #[error("the faucet's daily budget is spent; try again in {} s", .0.as_secs().max(1))]
    BudgetSpent(Duration),
    /// What coin the server has is reserved for settlement.
    #[error(
        "the server's gas account is reserved for settlement; its operator must fund it, try again later"
    )]
    Reserved,
    /// Written and not sent in time. It will be.
    #[error("the grant is on its way and not on chain yet; GET shows how far it is")]
    Pending,
    /// The token refused.
    #[error("the faucet has no test tokens left; its operator must send some to the server's wallet")]
    Dry(#[source] Box<dyn Error + Send + Sync>),
    /// The chain or the store is away; nothing was written.
    #[error("the chain cannot be reached; nothing was granted, try again shortly")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for FaucetError {
    fn kind(&self) -> Kind {
        match self {
            // The existing frontend expects 400.
            Self::TooSoon(_) => Kind::Invalid,
            Self::BudgetSpent(_) => Kind::RateLimited,
            Self::Reserved | Self::Pending | Self::Dry(_) | Self::Unavailable(_) => Kind::Unavailable,
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::TooSoon(_) => "faucet_too_soon",
            Self::BudgetSpent(_) => "faucet_budget_spent",
            Self::Reserved => "sponsoring_paused",
            Self::Pending => "transaction_pending",
            Self::Dry(_) => "faucet_empty",
            Self::Unavailable(_) => "chain_unavailable",
            Self::Store(error) => error.code(),
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooSoon(left) | Self::BudgetSpent(left) => Some(left.as_secs().max(1)),
            Self::Reserved => Some(300),
            Self::Pending | Self::Unavailable(_) => Some(3),
            Self::Dry(_) => None,
            Self::Store(error) => error.retry_after(),
        }
    }
}

/// The faucet. There is one only where the configuration says so.
pub struct Faucet {
    tokens: Arc<dyn TestTokens>,
}

impl Faucet {
    /// Composes the use case.
    pub fn new(tokens: Arc<dyn TestTokens>) -> Self {
        Self { tokens }
    }

    /// The wallet's newest grant. One that failed on chain is none.
    ///
    /// # Errors
    /// The store's.
    pub async fn newest(&self, wallet: WalletAddress) -> Result<Option<Grant>, FaucetError> {
        Ok(self.tokens.newest(wallet).await?)
    }

    /// Gives the wallet [`AMOUNT`], once per [`EVERY`].
    ///
    /// # Errors
    /// [`FaucetError`]; after [`FaucetError::Pending`] the grant still happens.
    pub async fn ask(
        &self,
        wallet: WalletAddress,
        network: Option<ClientNetwork>,
    ) -> Result<Granted, FaucetError> {
        self.tokens.grant(wallet, AMOUNT, EVERY, network).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::MockTestTokens;

    #[tokio::test]
    async fn a_grant_is_500_usdt_once_an_hour() {
        let wallet = WalletAddress::new([7; 20]);
        let mut tokens = MockTestTokens::new();
        tokens
            .expect_grant()
            .withf(move |to, amount, every, _| {
                (*to, *amount, *every) == (wallet, Usdt::whole(500), Duration::from_secs(3_600))
            })
            .once()
            .returning(|recipient, amount, _, _| {
                Ok(Granted {
                    amount,
                    recipient,
                    transaction: [1; 32],
                })
            });
        let granted = Faucet::new(Arc::new(tokens)).ask(wallet, None).await.unwrap();
        assert_eq!(granted.recipient, wallet);
    }

    #[test]
    fn whoever_asks_too_soon_is_told_when_to_come_back() {
        let error = FaucetError::TooSoon(Duration::from_secs(90));
        assert_eq!((error.kind(), error.retry_after()), (Kind::Invalid, Some(90)));
        assert!(error.to_string().contains("90 s"), "{error}");
        assert_eq!(FaucetError::TooSoon(Duration::ZERO).retry_after(), Some(1));
    }
}
