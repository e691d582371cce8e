//! Test money for development: tUSDT out of nothing, and plain transfers of it.

use crate::{
    config::ServerKey,
    contracts::TestUsdt,
    convert,
    direct::{Direct, DirectError},
    failure::NodeError,
    node::Node,
    sign::Unsigned,
};
use alloy::{primitives::U256, sol_types::SolCall};
use haithe_kernel::{TokenUnits, WalletAddress};

/// The test token in the hands of one key. Never with a key that a [`Sender`](crate::Sender) is
/// using at the same time.
#[derive(Debug, Clone)]
pub struct TestMoney {
    node: Node,
    chain_id: u64,
    token: WalletAddress,
    key: ServerKey,
}

impl TestMoney {
    /// `token` is a tUSDT; only its owner's key mints.
    pub fn new(node: Node, chain_id: u64, token: WalletAddress, key: ServerKey) -> Self {
        Self {
            node,
            chain_id,
            token,
            key,
        }
    }

    /// Mints what `wallet` lacks of `units`; `false` when it had enough.
    ///
    /// # Errors
    /// See [`DirectError`]; the token refuses every key but its owner's.
    pub async fn top_up(&self, wallet: WalletAddress, units: TokenUnits) -> Result<bool, DirectError> {
        let what = "minting tUSDT";
        let held = self
            .held(wallet)
            .await
            .map_err(|source| DirectError::Node { what, source })?;
        let lacking = U256::from(units.get()).saturating_sub(held);
        if lacking.is_zero() {
            return Ok(false);
        }
        let call = TestUsdt::mintCall {
            to: convert::address(wallet),
            amount: lacking,
        };
        self.send(what, call.abi_encode()).await?;
        Ok(true)
    }

    /// Transfers the key's own tokens: to an organization's contract this is a deposit.
    ///
    /// # Errors
    /// See [`DirectError`].
    pub async fn transfer(&self, to: WalletAddress, units: TokenUnits) -> Result<(), DirectError> {
        let call = TestUsdt::transferCall {
            to: convert::address(to),
            value: U256::from(units.get()),
        };
        self.send("transferring tUSDT", call.abi_encode()).await
    }

    async fn held(&self, wallet: WalletAddress) -> Result<U256, NodeError> {
        let token = TestUsdt::new(convert::address(self.token), self.node.provider().clone());
        let balance = token.balanceOf(convert::address(wallet));
        self.node.ask("balanceOf()", balance.call()).await
    }

    async fn send(&self, what: &'static str, data: Vec<u8>) -> Result<(), DirectError> {
        let direct = Direct {
            node: &self.node,
            chain_id: self.chain_id,
            key: &self.key,
        };
        let tx = Unsigned {
            to: Some(convert::address(self.token)),
            data: data.into(),
        };
        direct.send(what, &tx).await.map(|_| ())
    }
}
