//! `haithe chain`: the contracts.

use super::{Outcome, Ran, briefly, say};
use clap::{Args, Subcommand};
use haithe_evm::{DeployPlan, Node, RpcLimits, ServerKey, TokenPlan, deploy};
use haithe_kernel::{Decimals, TokenUnits, WalletAddress};
use secrecy::SecretString;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(super) enum ChainCommand {
    /// Deploy what is missing of the contracts and print where they are, as JSON. Run again, it
    /// finds what it deployed before.
    Deploy(DeployArgs),
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
    /// The cold key's address, which governs [default: the deployer's]
    #[arg(long)]
    owner: Option<WalletAddress>,
    /// The address that can pause [default: none]
    #[arg(long)]
    guardian: Option<WalletAddress>,
    /// An existing payment token [default: a fresh test token]
    #[arg(long)]
    token: Option<WalletAddress>,
    /// The payment token's decimals
    #[arg(long, default_value_t = 18)]
    token_decimals: u8,
    /// Seconds between a request of a withdrawal and its execution
    #[arg(long, default_value_t = 86_400)]
    withdrawal_delay_seconds: u64,
    /// The daily cap a new organization begins with, in base units [default: none]
    #[arg(long)]
    daily_cap: Option<TokenUnits>,
    /// Seconds between the announcement of a product's higher price and its effect, at most 30 days
    #[arg(long, value_name = "SECONDS", default_value_t = 604_800)]
    price_notice: u64,
}

pub(super) fn run(command: ChainCommand) -> Ran {
    let ChainCommand::Deploy(args) = command;
    let key = ServerKey::parse(&args.key)?;
    let decimals = Decimals::new(args.token_decimals)?;
    let plan = DeployPlan {
        token: match args.token {
            Some(token) => TokenPlan::Existing(token, decimals),
            None => TokenPlan::Test(decimals),
        },
        owner: args.owner.unwrap_or_else(|| key.address()),
        server: args.server,
        guardian: args.guardian.unwrap_or(WalletAddress::new([0; 20])),
        withdrawal_delay: Duration::from_secs(args.withdrawal_delay_seconds),
        initial_daily_cap: args.daily_cap,
        price_notice: Duration::from_secs(args.price_notice),
    };
    briefly(async {
        let node = Node::http(&args.rpc, RpcLimits::default())?;
        let deployment = deploy(&node, args.chain_id, &key, &plan).await?;
        say(&serde_json::to_string_pretty(&deployment)?);
        Ok(Outcome::Good)
    })?
}
