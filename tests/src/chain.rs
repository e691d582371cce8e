//! A chain with the contracts on it, served on loopback as a node would be.
#![expect(
    clippy::too_many_arguments,
    reason = "events and calls have as many as the contracts gave them"
)]

use crate::sealed::Sealed;
use crate::wallets::Wallet;
use alloy::{
    consensus::TxEnvelope,
    eips::Encodable2718,
    network::{EthereumWallet, NetworkTransactionBuilder, TransactionBuilder},
    primitives::{Address, B256, Bytes, U256, keccak256},
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::types::{TransactionReceipt, TransactionRequest},
    sol,
    sol_types::{SolCall, SolEvent, SolValue},
};
use haithe_devchain::{DEFAULT_CHAIN_ID, DEMO_BALANCE, DevChain, DevChainConfig, Mining, ServedChain};
use haithe_evm::{DeployPlan, Deployment, Node, RpcLimits, ServerKey, TestMoney, TokenPlan, deploy};
use haithe_kernel::{Decimals, TokenUnits, Usdt, WalletAddress};
use secrecy::SecretString;
use serde_json::Value;
use std::time::Duration;

sol! {
    /// The part of the orchestrator that tests call themselves.
    #[sol(rpc)]
    interface Orchestrator {
        event OrganizationCreated(address indexed organization, address indexed owner, uint256 index, string name);
        event BatchSettled(uint64 indexed seq, bytes32 indexed hash, bytes32 root, uint256 total, uint256 skipped);
        event ProductAdded(address indexed product, address indexed creator, uint256 index, string name, string uri, string iv, string encryptedKeyForTEE, string category, uint256 pricePerCall);
        function createOrganization(string name) external returns (address);
        function addProduct(string name, string uri, string iv, string encryptedKeyForTEE, string category, uint256 pricePerCall) external returns (address);
        function nextBatch() external view returns (uint64);
        function platformFunds() external view returns (uint256);
        function verifyReceipt(uint64 seq, uint32 line, bytes32 leaf, bytes32[] proof) external view returns (bool);
    }

    /// The part of an organization that its owner calls.
    #[sol(rpc)]
    interface OrganizationContract {
        function enableProduct(address product, uint256 maxPrice) external;
        function setDailyCap(uint256 cap) external;
        function requestWithdrawal(address to, uint256 amount) external;
        function cancelWithdrawal() external;
        function transferOwnership(address newOwner) external;
        function acceptOwnership() external;
        function roles(address account) external view returns (uint8);
    }

    /// The part of a product that its creator calls.
    #[sol(rpc)]
    interface ProductContract {
        function setUri(string uri) external;
        function setPricePerCall(uint256 price) external;
    }

    /// The payment token.
    #[sol(rpc)]
    interface Token {
        function balanceOf(address holder) external view returns (uint256);
        function transfer(address to, uint256 value) external returns (bool);
    }
}

const GAS_LIMIT: u64 = 8_000_000;

/// What kind of chain a test needs.
#[derive(Debug, Clone, Copy)]
pub struct ChainSetup {
    /// When blocks are made.
    pub mining: Mining,
    /// Decimals of the payment token.
    pub decimals: u8,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Changes what is deployed.
    pub plan: fn(&mut DeployPlan),
}

impl Default for ChainSetup {
    fn default() -> Self {
        Self {
            mining: Mining::Instant,
            decimals: 18,
            chain_id: DEFAULT_CHAIN_ID,
            plan: |_| (),
        }
    }
}

/// The chain. It ends with this value.
#[derive(Debug)]
pub struct Chain {
    /// The node's controls: mining, reorgs, faults, time.
    pub dev: DevChain,
    /// What is deployed where.
    pub deployment: Deployment,
    /// A provider on the same chain.
    pub provider: DynProvider,
    /// Deploys, governs, and prints test money.
    pub operator: Wallet,
    /// Settles.
    pub server: Wallet,
    served: ServedChain,
    money: TestMoney,
}

impl Chain {
    /// A chain of its own where every transaction is a block.
    pub async fn start() -> Self {
        Self::with(ChainSetup::default()).await
    }

    /// A chain of its own.
    pub async fn with(setup: ChainSetup) -> Self {
        let (operator, server) = (Wallet::named("operator"), Wallet::named("server"));
        let dev = DevChain::start(DevChainConfig {
            chain_id: setup.chain_id,
            funded: vec![
                (operator.address(), DEMO_BALANCE),
                (server.address(), DEMO_BALANCE),
            ],
            ..DevChainConfig::default()
        })
        .expect("the chain starts");
        let loopback = "127.0.0.1:0".parse().expect("a socket address");
        let served = dev.serve(loopback).await.expect("a free loopback port");
        let decimals = Decimals::new(setup.decimals).expect("6 to 18 decimals");
        let node = Node::over(dev.rpc_client(), RpcLimits::default());
        let key = ServerKey::parse(&SecretString::from(operator.key_hex())).expect("a key");
        let mut plan = DeployPlan {
            token: TokenPlan::Test(decimals),
            owner: operator.wallet_address(),
            server: server.wallet_address(),
            guardian: operator.wallet_address(),
            withdrawal_delay: Duration::from_secs(86_400),
            initial_daily_cap: None,
            price_notice: Duration::from_secs(7 * 86_400),
        };
        (setup.plan)(&mut plan);
        let deployment = deploy(&node, dev.chain_id(), &key, &plan)
            .await
            .expect("the contracts deploy");
        let money = TestMoney::new(node, dev.chain_id(), deployment.usdt, key);
        dev.set_mining(setup.mining);
        Self {
            provider: ProviderBuilder::new()
                .disable_recommended_fillers()
                .connect_client(dev.rpc_client())
                .erased(),
            dev,
            deployment,
            operator,
            server,
            served,
            money,
        }
    }

    /// Where the node listens.
    pub fn rpc_url(&self) -> String {
        self.served.url()
    }

    /// An amount in the token's base units.
    pub fn units(&self, amount: Usdt) -> TokenUnits {
        amount
            .to_units(self.deployment.decimals)
            .expect("a positive amount")
            .0
    }

    /// Creates an organization by the wallet's own transaction; gives its contract.
    pub async fn create_organization(&self, owner: &Wallet, name: &str) -> Address {
        let call = Orchestrator::createOrganizationCall { name: name.into() };
        let receipt = self.send(owner, self.orchestrator(), call.abi_encode()).await;
        let created = receipt.logs().iter().find_map(|log| {
            let event = Orchestrator::OrganizationCreated::decode_log(&log.inner).ok()?;
            Some(event.organization)
        });
        created.expect("the orchestrator announces the organization")
    }

    /// Publishes a product by the creator's own transaction; gives its contract. Its content is sealed as it
    /// should be and hosted nowhere.
    pub async fn add_product(&self, creator: &Wallet, name: &str, category: &str, price: U256) -> Address {
        let sealed = Sealed::for_fixture(creator.wallet_address(), b"Facts.");
        let uri = format!("haithe:sha256:{}", sealed.digest);
        let unhosted = (uri.as_str(), sealed.wrapped_key.as_str());
        self.add_product_at(creator, (name, category), unhosted, price)
            .await
    }

    /// The same for content at this address, with this wrapped key.
    pub async fn add_product_at(
        &self,
        creator: &Wallet,
        (name, category): (&str, &str),
        (uri, key): (&str, &str),
        price: U256,
    ) -> Address {
        let call = Orchestrator::addProductCall {
            name: name.into(),
            uri: uri.into(),
            iv: "00".into(),
            encryptedKeyForTEE: key.into(),
            category: category.into(),
            pricePerCall: price,
        };
        let receipt = self.send(creator, self.orchestrator(), call.abi_encode()).await;
        let added = receipt.logs().iter().find_map(|log| {
            let event = Orchestrator::ProductAdded::decode_log(&log.inner).ok()?;
            Some(event.product)
        });
        added.expect("the orchestrator announces the product")
    }

    /// Publishes other content of a product.
    pub async fn set_uri(&self, creator: &Wallet, product: Address, uri: &str) {
        let call = ProductContract::setUriCall { uri: uri.into() };
        self.send(creator, product, call.abi_encode()).await;
    }

    /// Sets or announces a product's price.
    pub async fn set_price(&self, creator: &Wallet, product: Address, price: U256) {
        let call = ProductContract::setPricePerCallCall { price };
        self.send(creator, product, call.abi_encode()).await;
    }

    /// Lets an organization's contract accept calls of a product up to a price.
    pub async fn enable_product(&self, owner: &Wallet, org: Address, product: Address, most: U256) {
        let call = OrganizationContract::enableProductCall {
            product,
            maxPrice: most,
        };
        self.send(owner, org, call.abi_encode()).await;
    }

    /// Sends tUSDT to an organization's contract, which is a deposit.
    pub async fn deposit(&self, org: Address, amount: Usdt) {
        self.deposit_units(org, self.units(amount)).await;
    }

    /// The same in base units.
    pub async fn deposit_units(&self, org: Address, units: TokenUnits) {
        let operator = self.operator.wallet_address();
        let enough = TokenUnits::new(units.get());
        self.money
            .top_up(operator, enough)
            .await
            .expect("the operator mints");
        let to = WalletAddress::new(org.into_array());
        self.money
            .transfer(to, units)
            .await
            .expect("the operator transfers");
    }

    /// Gives the server's wallet test tokens, which its faucet gives away.
    pub async fn fill_faucet(&self, amount: Usdt) {
        let server = self.server.wallet_address();
        let minted = self.money.top_up(server, self.units(amount)).await;
        minted.expect("the operator mints");
    }

    /// Where the test token keeps the holder's balance: OpenZeppelin's ERC20 has `_balances` in its
    /// first slot.
    pub fn balance_slot(&self, holder: Address) -> U256 {
        keccak256((holder, U256::ZERO).abi_encode()).into()
    }

    /// What the holder has, in base units.
    pub async fn token_balance(&self, holder: Address) -> u128 {
        let token = Token::new(address(self.deployment.usdt), self.provider.clone());
        let balance = token.balanceOf(holder).call().await.expect("the node answers");
        balance.try_into().expect("test amounts fit 128 bits")
    }

    /// The role that an organization's contract gives an account: none, member, administrator.
    pub async fn role(&self, org: Address, account: Address) -> u8 {
        let contract = OrganizationContract::new(org, self.provider.clone());
        contract.roles(account).call().await.expect("the node answers")
    }

    /// How many transactions of the account are in blocks.
    pub async fn transactions_of(&self, account: Address) -> u64 {
        let count = self.provider.get_transaction_count(account);
        count.await.expect("the node answers")
    }

    /// The contract's `nextBatch`: how many batches were settled.
    pub async fn next_batch(&self) -> u64 {
        let contract = Orchestrator::new(self.orchestrator(), self.provider.clone());
        contract.nextBatch().call().await.expect("the node answers")
    }

    /// What the platform earned on chain, in base units.
    pub async fn platform_funds(&self) -> u128 {
        let contract = Orchestrator::new(self.orchestrator(), self.provider.clone());
        let funds = contract.platformFunds().call().await.expect("the node answers");
        funds.try_into().expect("test amounts fit 128 bits")
    }

    /// The contract's own check of a receipt.
    pub async fn verify_receipt(&self, seq: u64, line: u32, leaf: B256, proof: Vec<B256>) -> bool {
        let contract = Orchestrator::new(self.orchestrator(), self.provider.clone());
        let check = contract.verifyReceipt(seq, line, leaf, proof);
        check.call().await.expect("the node answers")
    }

    /// The orchestrator's address.
    pub fn orchestrator(&self) -> Address {
        address(self.deployment.orchestrator)
    }

    /// Signs and sends what an answer of the service says has to be signed, which is the wallet's own.
    pub async fn sign(&self, wallet: &Wallet, transaction: &Value) -> TransactionReceipt {
        assert_eq!(transaction["from"], wallet.wallet_address().to_string());
        assert_eq!(transaction["chain_id"], self.deployment.chain_id);
        assert_eq!(transaction["chainId"], self.deployment.chain_id);
        assert_eq!(transaction["value"], "0x0");
        let summary = transaction["summary"].as_str().unwrap_or_default();
        assert!(summary.contains("Amount: "), "no readable summary: {transaction}");
        let text = |name: &str| transaction[name].as_str().expect("a text");
        let data = hex::decode(text("data").trim_start_matches("0x")).expect("hexadecimal digits");
        let to = text("to").parse().expect("an address");
        self.send(wallet, to, data).await
    }

    /// Sends a transaction by the wallet and waits for its success.
    pub async fn send(&self, from: &Wallet, to: Address, data: Vec<u8>) -> TransactionReceipt {
        self.dev
            .set_balance(from.address(), DEMO_BALANCE)
            .expect("the chain keeps accounts");
        let nonce = self
            .provider
            .get_transaction_count(from.address())
            .await
            .expect("the node answers");
        let transaction: TxEnvelope = TransactionRequest::default()
            .with_from(from.address())
            .with_to(to)
            .with_input(Bytes::from(data))
            .with_nonce(nonce)
            .with_chain_id(self.dev.chain_id())
            .with_gas_limit(GAS_LIMIT)
            .with_max_fee_per_gas(100_000_000_000)
            .with_max_priority_fee_per_gas(1)
            .build(&EthereumWallet::from(from.signer.clone()))
            .await
            .expect("a local key signs");
        let sent = self
            .provider
            .send_raw_transaction(&transaction.encoded_2718())
            .await;
        let hash = *sent.expect("the node takes the transaction").tx_hash();
        let receipt = crate::eventually("the transaction is mined", async || {
            self.provider
                .get_transaction_receipt(hash)
                .await
                .expect("the node answers")
        })
        .await;
        assert!(receipt.status(), "the transaction reverted");
        receipt
    }
}

/// An address in alloy's type.
pub fn address(address: WalletAddress) -> Address {
    Address::from(*address.as_bytes())
}

/// An amount of base units as a 256-bit number.
pub fn u256(units: TokenUnits) -> U256 {
    U256::from(units.get())
}
