//! A chain with the contracts on it, people with keys, and the two ways to call: as intended, or to be refused.

use alloy::{
    consensus::TxEnvelope,
    contract::{CallBuilder, CallDecoder},
    eips::Encodable2718,
    network::{EthereumWallet, NetworkTransactionBuilder, TransactionBuilder},
    primitives::{Address, B256, Bytes, Log, U256},
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::types::{TransactionReceipt, TransactionRequest},
    sol_types::{SolError, SolEvent},
};
use haithe_devchain::{DEFAULT_CHAIN_ID, DEMO_BALANCE, DevChain, DevChainConfig};

use crate::bindings::{
    HaitheCreatorIdentity::{self, HaitheCreatorIdentityInstance},
    HaitheOrchestrator::{self, HaitheOrchestratorInstance},
    HaitheOrganization::{self, HaitheOrganizationInstance},
    HaitheProduct::{self, HaitheProductInstance},
    TrickyToken::{self, TrickyTokenInstance},
    tUSDT,
};

pub use crate::cast::{People, Person};

pub type Hub = HaitheOrchestratorInstance<DynProvider>;
pub type Org = HaitheOrganizationInstance<DynProvider>;
pub type Identity = HaitheCreatorIdentityInstance<DynProvider>;
pub type Product = HaitheProductInstance<DynProvider>;

/// An hour and a day, in seconds.
pub const HOUR: u64 = 3600;
pub const DAY: u64 = 24 * HOUR;

/// The withdrawal delay of every test: the default of a day.
pub const DELAY: u64 = DAY;

/// The price notice of every test: the default of seven days.
pub const NOTICE: u64 = 7 * DAY;

/// A midnight, so that a test which lasts less than a day stays within one.
const START: u64 = 1_767_225_600;

/// As much gas as one transaction may use (EIP-7825).
pub const GAS_LIMIT: u64 = 1 << 24;

/// Which token pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Money {
    /// tUSDT with this many decimals.
    Plain(u8),
    /// A token that returns nothing from `transfer`, and can be told to behave worse.
    Tricky(u8),
}

/// The contracts, deployed on a chain of their own.
pub struct World {
    pub chain: DevChain,
    pub provider: DynProvider,
    pub people: People,
    pub money: Money,
    /// The token, addressed through the interface all of them share.
    pub token: TrickyTokenInstance<DynProvider>,
    pub hub: Hub,
    pub identity: Identity,
}

impl World {
    /// With tUSDT of 18 decimals.
    pub async fn plain() -> Self {
        Self::with(Money::Plain(18)).await
    }

    /// Organizations begin without a daily cap.
    pub async fn with(money: Money) -> Self {
        Self::with_cap(money, U256::MAX).await
    }

    /// Organizations begin with this daily cap, in base units.
    pub async fn with_cap(money: Money, initial_daily_cap: U256) -> Self {
        Self::start(money, initial_daily_cap, DEFAULT_CHAIN_ID).await
    }

    /// The same contracts at the same addresses, on another chain.
    pub async fn on_chain(money: Money, chain_id: u64) -> Self {
        Self::start(money, U256::MAX, chain_id).await
    }

    async fn start(money: Money, initial_daily_cap: U256, chain_id: u64) -> Self {
        let people = People::new();
        let chain = DevChain::start(DevChainConfig {
            chain_id,
            funded: people.all().map(|person| (person.address, DEMO_BALANCE)).to_vec(),
            genesis_time: Some(START),
            ..DevChainConfig::default()
        })
        .unwrap();
        let provider = ProviderBuilder::new()
            .disable_recommended_fillers()
            .connect_client(chain.rpc_client())
            .erased();

        let operator = &people.operator;
        let token = match money {
            Money::Plain(decimals) => tUSDT::deploy_builder(&provider, decimals, operator.address),
            Money::Tricky(decimals) => {
                let deploy = TrickyToken::deploy_builder(&provider, decimals);
                CallBuilder::new_raw_deploy(&provider, deploy.calldata().clone())
            }
        };
        let token = deploy(&provider, operator, token.into_transaction_request()).await;
        let hub = HaitheOrchestrator::deploy_builder(
            &provider,
            token,
            operator.address,
            people.server.address,
            people.guardian.address,
            DELAY,
            initial_daily_cap,
            NOTICE,
        );
        let hub = deploy(&provider, operator, hub.into_transaction_request()).await;
        let hub = HaitheOrchestrator::new(hub, provider.clone());
        let identity = hub.creatorIdentity().call().await.unwrap();
        let world = Self {
            chain,
            money,
            token: TrickyToken::new(token, provider.clone()),
            identity: HaitheCreatorIdentity::new(identity, provider.clone()),
            hub,
            provider,
            people,
        };
        if let Money::Tricky(_) = money {
            world.misbehave(TOKEN_SILENT).await;
        }
        world
    }

    /// Deploys something else.
    pub async fn deploy(&self, who: &Person, request: TransactionRequest) -> Address {
        deploy(&self.provider, who, request).await
    }

    pub fn org(&self, address: Address) -> Org {
        HaitheOrganization::new(address, self.provider.clone())
    }

    pub fn product(&self, address: Address) -> Product {
        HaitheProduct::new(address, self.provider.clone())
    }

    /// `whole` units of the token in base units.
    pub fn usdt(&self, whole: u64) -> U256 {
        let (Money::Plain(decimals) | Money::Tricky(decimals)) = self.money;
        U256::from(whole) * U256::from(10).pow(U256::from(decimals))
    }

    /// What `holder` has, in base units.
    pub async fn balance(&self, holder: Address) -> U256 {
        self.token.balanceOf(holder).call().await.unwrap()
    }

    /// Makes a tricky token behave as this mode says.
    pub async fn misbehave(&self, mode: u8) {
        self.act(&self.people.mallory, self.token.setMode(mode)).await;
    }

    /// Sends a call that has to succeed.
    pub async fn act<D: CallDecoder>(
        &self,
        who: &Person,
        call: CallBuilder<&DynProvider, D>,
    ) -> TransactionReceipt {
        let request = call.into_transaction_request();
        if let Err(refusal) = self.simulate(who, request.clone()).await {
            panic!("unexpectedly refused: {refusal:?}");
        }
        let receipt = transact(&self.provider, who, request).await;
        assert!(
            receipt.status(),
            "the call succeeded when simulated and failed when sent"
        );
        receipt
    }

    /// Sends a call whatever comes of it.
    pub async fn attempt<D: CallDecoder>(
        &self,
        who: &Person,
        call: CallBuilder<&DynProvider, D>,
    ) -> TransactionReceipt {
        transact(&self.provider, who, call.into_transaction_request()).await
    }

    /// The same with another gas limit than the largest possible.
    pub async fn attempt_with_gas<D: CallDecoder>(
        &self,
        who: &Person,
        call: CallBuilder<&DynProvider, D>,
        gas: u64,
    ) -> TransactionReceipt {
        transact(&self.provider, who, call.gas(gas).into_transaction_request()).await
    }

    /// Sends a call that has to be refused with this error, which is returned.
    pub async fn refused<E: SolError, D: CallDecoder>(
        &self,
        who: &Person,
        call: CallBuilder<&DynProvider, D>,
    ) -> E {
        let request = call.into_transaction_request();
        let revert = match self.simulate(who, request.clone()).await {
            Ok(_) => panic!("expected {} and was let through", E::SIGNATURE),
            Err(revert) => revert,
        };
        let error =
            E::abi_decode(&revert).unwrap_or_else(|_| panic!("expected {} and got {revert}", E::SIGNATURE));
        assert!(
            !transact(&self.provider, who, request).await.status(),
            "refused when simulated only"
        );
        error
    }

    /// Sends a transaction whatever comes of it.
    pub async fn send(&self, who: &Person, request: TransactionRequest) -> TransactionReceipt {
        transact(&self.provider, who, request).await
    }

    /// What a call would return, or the data it reverts with.
    pub async fn simulate(&self, who: &Person, request: TransactionRequest) -> Result<Bytes, Bytes> {
        self.simulate_with_gas(who.address, request, GAS_LIMIT).await
    }

    /// The same from any address, also a contract's, and with another gas limit.
    pub async fn simulate_with_gas(
        &self,
        from: Address,
        request: TransactionRequest,
        gas: u64,
    ) -> Result<Bytes, Bytes> {
        let request = request.with_from(from).with_gas_limit(gas);
        match self.provider.call(request).await {
            Ok(output) => Ok(output),
            Err(error) => {
                let payload = error.as_error_resp().expect("the chain answers");
                Err(payload.as_revert_data().unwrap_or_default())
            }
        }
    }

    /// Moves the clock so that the next transaction's block has this timestamp.
    pub fn next_block_at(&self, timestamp: u64) {
        let gap = (timestamp - 1)
            .checked_sub(self.chain.head_time())
            .expect("that moment is past");
        if gap > 0 {
            self.chain.advance_time(gap);
        }
        assert_eq!(self.chain.head_time(), timestamp - 1);
    }

    /// Timestamp of the block a transaction is in.
    pub async fn time_of(&self, receipt: &TransactionReceipt) -> u64 {
        let number = receipt.block_number.unwrap();
        self.provider
            .get_block_by_number(number.into())
            .await
            .unwrap()
            .unwrap()
            .header
            .timestamp
    }
}

/// Modes of `TrickyToken`, in the order of its enum.
pub const TOKEN_SILENT: u8 = 1;
pub const TOKEN_RETURNS_FALSE: u8 = 2;
pub const TOKEN_REVERTS: u8 = 3;
pub const TOKEN_BURNS_GAS: u8 = 4;
pub const TOKEN_FLOODS: u8 = 5;
pub const TOKEN_TAKES_FEE: u8 = 6;
pub const TOKEN_LIES: u8 = 7;

/// The events of one kind in a transaction, in order.
pub fn events<E: SolEvent>(receipt: &TransactionReceipt) -> Vec<E> {
    receipt
        .logs()
        .iter()
        .filter_map(|log| E::decode_log(&log.inner).ok())
        .map(|Log { data, .. }| data)
        .collect()
}

/// The one event of this kind in a transaction.
pub fn event<E: SolEvent>(receipt: &TransactionReceipt) -> E {
    let mut all = events::<E>(receipt);
    assert_eq!(all.len(), 1, "{} is emitted once", E::SIGNATURE);
    all.remove(0)
}

/// Asserts that a skipped line's reason is this error, which is returned.
pub fn reason<E: SolError>(reason: &Bytes) -> E {
    E::abi_decode(reason).unwrap_or_else(|_| panic!("expected {} and got {reason}", E::SIGNATURE))
}

async fn deploy(provider: &DynProvider, who: &Person, request: TransactionRequest) -> Address {
    let receipt = transact(provider, who, request).await;
    assert!(receipt.status(), "the deployment failed");
    receipt.contract_address.unwrap()
}

async fn transact(provider: &DynProvider, who: &Person, request: TransactionRequest) -> TransactionReceipt {
    let nonce = provider.get_transaction_count(who.address).await.unwrap();
    let chain_id = provider.get_chain_id().await.unwrap();
    let gas = request.gas.unwrap_or(GAS_LIMIT);
    let transaction: TxEnvelope = request
        .with_from(who.address)
        .with_nonce(nonce)
        .with_chain_id(chain_id)
        .with_gas_limit(gas)
        .with_max_fee_per_gas(20_000_000_000)
        .with_max_priority_fee_per_gas(1)
        .build(&EthereumWallet::from(who.signer.clone()))
        .await
        .unwrap();
    let hash: B256 = *provider
        .send_raw_transaction(&transaction.encoded_2718())
        .await
        .unwrap()
        .tx_hash();
    provider
        .get_transaction_receipt(hash)
        .await
        .unwrap()
        .expect("mined at once")
}

/// Defines tests that run with every kind of money: `async fn name(world: World) { .. }`.
macro_rules! with_every_money {
    ($($(#[$meta:meta])* async fn $name:ident($world:ident: World) $body:block)+) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            async fn story($world: World) $body

            #[tokio::test]
            async fn with_18_decimals() {
                story(World::with($crate::world::Money::Plain(18)).await).await;
            }

            #[tokio::test]
            async fn with_6_decimals() {
                story(World::with($crate::world::Money::Plain(6)).await).await;
            }

            #[tokio::test]
            async fn with_a_token_that_returns_nothing() {
                story(World::with($crate::world::Money::Tricky(6)).await).await;
            }
        }
    )+};
}
pub(crate) use with_every_money;
