//! `haithe chain`: the contracts.

use super::{
    Outcome, Ran, briefly, complain, load,
    platform::{WithdrawPlatformArgs, withdraw},
    say,
};
use crate::Sources;
use clap::{Args, Subcommand};
use haithe_billing::deployment::{Governance, Weakness, is_development_chain};
use haithe_evm::{DeployPlan, Node, RpcLimits, ServerKey, TokenPlan, deploy, token_decimals};
use haithe_kernel::{Decimals, MoneyError, TokenUnits, Usdt, WalletAddress};
use secrecy::SecretString;
use std::{fmt::Write, time::Duration};

/// Decimals of the test token, unless `--token-decimals` says otherwise.
const TEST_TOKEN_DECIMALS: u8 = 18;
/// A smaller daily cap stops nearly every call and is most likely an amount in the wrong unit.
const SMALLEST_CAP: Usdt = Usdt::from_nano(10_000_000);

#[derive(Debug, Subcommand)]
pub(super) enum ChainCommand {
    /// Deploy what is missing of the contracts and print where they are, as JSON. Run again, it
    /// finds what it deployed before.
    Deploy(DeployArgs),
    /// Withdraw the platform's share from the orchestrator. What is kept there for payees that cannot
    /// be paid for now stays, and so do creators' earnings
    WithdrawPlatform(WithdrawPlatformArgs),
}

#[derive(Debug, Args)]
pub(super) struct DeployArgs {
    /// The node
    #[arg(long, env = "BLOCKCHAIN_PROVIDER_URL", hide_env_values = true)]
    rpc: SecretString,
    /// The chain's EIP-155 id, which the node must confirm
    #[arg(long, env = "HAITHE__CHAIN__ID")]
    chain_id: u64,
    /// The key that pays for the deployment, 64 hex digits; with a test token also the one that mints
    #[arg(long, env = "DEPLOYER_PVT_KEY", hide_env_values = true)]
    key: SecretString,
    /// The hot key's address, which settles
    #[arg(long)]
    server: WalletAddress,
    /// The cold key's address, which governs: another one than the deployer's and the server's
    /// [default on development chains: the deployer's]
    #[arg(long)]
    owner: Option<WalletAddress>,
    /// The address that can pause; required except on development chains
    #[arg(long)]
    guardian: Option<WalletAddress>,
    /// An existing payment token [default on development chains: a fresh test token]
    #[arg(long, conflicts_with = "test_token")]
    token: Option<WalletAddress>,
    /// Deploy a test token as the payment token, which the deployer can mint without limit
    #[arg(long)]
    test_token: bool,
    /// The payment token's decimals [default: what the token says; 18 for a test token]
    #[arg(long)]
    token_decimals: Option<u8>,
    /// Seconds between a request of a withdrawal and its execution
    #[arg(long, default_value_t = 86_400)]
    withdrawal_delay_seconds: u64,
    /// The daily cap a new organization begins with, in base units; required except on development
    /// chains
    #[arg(long)]
    daily_cap: Option<TokenUnits>,
    /// Seconds between the announcement of a product's higher price and its effect, at most 30 days
    #[arg(long, value_name = "SECONDS", default_value_t = 604_800)]
    price_notice: u64,
}

/// Why nothing was deployed.
#[derive(Debug, thiserror::Error)]
enum DeployRefusal {
    #[error(
        "chain {chain_id} is not a development chain, so a deployment needs every safeguard; nothing was sent. Correct:{list}"
    )]
    Unsafe { chain_id: u64, list: String },
    #[error(
        "--daily-cap {units} is {amount} USDT with the token's {digits} decimals, less than 0.01 USDT, and would stop nearly every call; give base units (1 USDT is {one}); nothing was sent"
    )]
    SmallCap {
        units: TokenUnits,
        amount: Usdt,
        digits: u8,
        one: TokenUnits,
    },
    #[error("--daily-cap: {0}; nothing was sent")]
    Amount(#[from] MoneyError),
}

pub(super) fn run(command: ChainCommand, sources: Sources) -> Ran {
    match command {
        ChainCommand::Deploy(args) => run_deploy(&args),
        ChainCommand::WithdrawPlatform(args) => withdraw(&args, &load(sources)?),
    }
}

fn run_deploy(args: &DeployArgs) -> Ran {
    let key = ServerKey::parse(&args.key)?;
    let given = args.token_decimals.map(Decimals::new).transpose()?;
    let fallback = Decimals::new(TEST_TOKEN_DECIMALS)?;
    args.expect_safe(key.address(), given.unwrap_or(fallback))?;
    briefly(async {
        let node = Node::http(&args.rpc, RpcLimits::default())?;
        let decimals = match args.token {
            Some(token) => {
                let found = token_decimals(&node, args.chain_id, token).await?;
                complain(&format!("payment token {token}: {} decimals", u8::from(found)));
                given.unwrap_or(found)
            }
            None => given.unwrap_or(fallback),
        };
        args.expect_safe(key.address(), decimals)?;
        args.expect_usable_cap(decimals)?;
        let plan = args.plan(key.address(), decimals);
        let deployment = deploy(&node, args.chain_id, &key, &plan).await?;
        say(&serde_json::to_string_pretty(&deployment)?);
        Ok(Outcome::Good)
    })?
}

impl DeployArgs {
    fn plan(&self, deployer: WalletAddress, decimals: Decimals) -> DeployPlan {
        DeployPlan {
            token: match self.token {
                Some(token) => TokenPlan::Existing(token, decimals),
                None => TokenPlan::Test(decimals),
            },
            owner: self.owner.unwrap_or(deployer),
            server: self.server,
            guardian: self.guardian.unwrap_or(WalletAddress::new([0; 20])),
            withdrawal_delay: Duration::from_secs(self.withdrawal_delay_seconds),
            initial_daily_cap: self.daily_cap,
            price_notice: Duration::from_secs(self.price_notice),
        }
    }

    /// Every safeguard that the arguments leave out, in one error.
    fn expect_safe(&self, deployer: WalletAddress, decimals: Decimals) -> Result<(), DeployRefusal> {
        let zero = WalletAddress::new([0; 20]);
        let governance = Governance {
            chain_id: self.chain_id,
            owner: self.owner.unwrap_or(deployer),
            server: self.server,
            guardian: self.guardian.filter(|guardian| *guardian != zero),
            deployer: Some(deployer),
            initial_daily_cap: self.daily_cap,
            decimals,
            // Who names the test token wants it.
            is_test_token: self.token.is_none() && !self.test_token,
        };
        let weaknesses = governance.weaknesses();
        if weaknesses.is_empty() {
            return Ok(());
        }
        let mut list = String::new();
        for weakness in weaknesses {
            let also = match weakness {
                Weakness::TestToken => " (--test-token if that is intended)",
                _ => "",
            };
            // Writing to a String cannot fail.
            let _ = write!(list, "\n  {}: {weakness}{also}", weakness.option());
        }
        Err(DeployRefusal::Unsafe {
            chain_id: self.chain_id,
            list,
        })
    }

    /// Shows the cap in both units; a tiny one is refused outside development.
    fn expect_usable_cap(&self, decimals: Decimals) -> Result<(), DeployRefusal> {
        let Some(units) = self.daily_cap else {
            return Ok(());
        };
        let (amount, _) = Usdt::from_units(units, decimals)?;
        if amount < SMALLEST_CAP && !is_development_chain(self.chain_id) {
            let (one, _) = Usdt::whole(1).to_units(decimals)?;
            return Err(DeployRefusal::SmallCap {
                units,
                amount,
                digits: decimals.into(),
                one,
            });
        }
        complain(&format!(
            "daily cap of a new organization: {units} base units, which is {amount} USDT"
        ));
        Ok(())
    }
}
