//! `haithe chain withdraw-platform`: the platform's share, without what belongs to payees.

use super::{Outcome, Ran, briefly, complain, say};
use crate::{Config, api::orgs::transaction::TransactionView, wiring};
use clap::Args;
use haithe_billing::platform::PlatformShare;
use haithe_evm::ServerKey;
use haithe_kernel::{Usdt, WalletAddress};
use secrecy::SecretString;
use serde_json::json;

#[derive(Debug, Args)]
pub(super) struct WithdrawPlatformArgs {
    /// Where the money goes
    #[arg(long)]
    to: WalletAddress,
    /// How much, in USDT [default: everything but the escrow]
    #[arg(long, value_name = "USDT")]
    amount_usdt: Option<Usdt>,
    /// The key of the orchestrator's owner, 64 hex digits; without it the transaction is printed for the
    /// owner to sign, and nothing is sent
    #[arg(long, env = "ORCHESTRATOR_OWNER_PVT_KEY", hide_env_values = true)]
    key: Option<SecretString>,
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
enum WithdrawRefusal {
    #[error("the zero address is not allowed; nothing was sent")]
    ZeroAddress,
    #[error("the orchestrator's owner is {owner}, not {key}; nothing was sent")]
    NotOwner {
        owner: WalletAddress,
        key: WalletAddress,
    },
}

/// Prints the unsigned transaction, or what was sent, as JSON.
pub(super) fn withdraw(args: &WithdrawPlatformArgs, config: &Config) -> Ran {
    if args.to.is_zero() {
        return Err(WithdrawRefusal::ZeroAddress.into());
    }
    let key = args.key.as_ref().map(ServerKey::parse).transpose()?;
    let decimals = config.chain.decimals;
    briefly(async {
        let client = wiring::chain_client(config)?;
        let funds = client.platform_funds().await?;
        let snapshot = wiring::ledger_snapshot(config).await?;
        let share = PlatformShare::of(&funds, &snapshot, decimals)?;
        let amount = share.take(args.amount_usdt)?;
        complain(&format!(
            "the contract holds {} USDT for the platform, of which {} USDT are escrow and stay; withdrawing {} USDT",
            share.held.to_decimal(decimals),
            share.kept.to_decimal(decimals),
            amount.to_decimal(decimals),
        ));
        let transaction = client.withdraw_platform(funds.owner, args.to, amount);
        let Some(key) = key else {
            say(&serde_json::to_string_pretty(&TransactionView::of(
                transaction,
                decimals,
            ))?);
            return Ok(Outcome::Good);
        };
        if key.address() != funds.owner {
            return Err(WithdrawRefusal::NotOwner {
                owner: funds.owner,
                key: key.address(),
            }
            .into());
        }
        let what = "withdrawing the platform's share";
        let hash = client.sign_and_send(what, &key, &transaction).await?;
        let sent = json!({
            "transaction": format!("0x{}", hex::encode(hash)),
            "to": args.to,
            "amount_usdt": amount.to_decimal(decimals),
            "left_usdt": share.kept.to_decimal(decimals),
        });
        say(&serde_json::to_string_pretty(&sent)?);
        Ok(Outcome::Good)
    })?
}
