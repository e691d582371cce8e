//! Transactions that a wallet signs and sends itself, with a summary for the person who signs.

use crate::ownership::OwnerCall;
use haithe_kernel::{Decimals, TokenUnits, WalletAddress};

/// A transaction for a wallet to sign and send. It carries no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsignedTransaction {
    /// The wallet that has to sign it.
    pub from: WalletAddress,
    /// The contract that it calls.
    pub to: WalletAddress,
    /// The calldata.
    pub data: Vec<u8>,
    /// The chain that it is valid on (EIP-155).
    pub chain_id: u64,
    /// What it does, in words.
    pub summary: TransactionSummary,
}

/// What an unsigned transaction does: calldata cannot be read by the person who signs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionSummary {
    /// The action as an imperative without a full stop, such as `Request a withdrawal`.
    pub action: String,
    /// The amount that is moved or set as a limit; `None` if the action has no amount.
    pub amount: Option<TokenUnits>,
    /// Where money, ownership or the request comes from.
    pub from: WalletAddress,
    /// Where it goes.
    pub to: WalletAddress,
}

impl TransactionSummary {
    /// A summary without an amount.
    pub fn new(action: impl Into<String>, from: WalletAddress, to: WalletAddress) -> Self {
        Self {
            action: action.into(),
            amount: None,
            from,
            to,
        }
    }

    /// The same summary with an amount.
    #[must_use]
    pub fn with_amount(mut self, amount: Option<TokenUnits>) -> Self {
        self.amount = amount;
        self
    }

    /// The summary as one line of text: action, amount in USDT, from, to.
    pub fn text(&self, decimals: Decimals) -> String {
        let amount = self.amount.map_or_else(
            || "none".to_owned(),
            |amount| format!("{} USDT", amount.to_decimal(decimals)),
        );
        format!(
            "{}. Amount: {amount}. From: {}. To: {}.",
            self.action, self.from, self.to
        )
    }
}

impl OwnerCall {
    /// What the call does when `signer` sends it to the organization's contract.
    pub fn summary(self, signer: WalletAddress, contract: WalletAddress) -> TransactionSummary {
        let summary = |action: &str, from, to| TransactionSummary::new(action, from, to);
        match self {
            Self::SetRole { account, role } => {
                let action = format!(
                    "Set the organization role of the recipient to `{}`",
                    role.as_str()
                );
                summary(&action, signer, account)
            }
            Self::OfferOwnership { to } if to.is_zero() => {
                summary("Cancel the offer of ownership", signer, contract)
            }
            Self::OfferOwnership { to } => {
                summary("Offer ownership of the organization to the recipient", signer, to)
            }
            Self::AcceptOwnership => summary("Accept ownership of the organization", signer, contract),
            Self::RequestWithdrawal { to, amount } => {
                summary("Request a withdrawal", contract, to).with_amount(Some(amount))
            }
            Self::ExecuteWithdrawal => summary("Execute the requested withdrawal", contract, signer),
            Self::CancelWithdrawal => summary("Cancel the requested withdrawal", contract, signer),
            Self::SetDailyCap(None) => summary("Remove the organization's daily cap", signer, contract),
            Self::SetDailyCap(cap) => {
                summary("Set the organization's daily cap", signer, contract).with_amount(cap)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::ChainRole;

    const OWNER: WalletAddress = WalletAddress::new([1; 20]);
    const ORG: WalletAddress = WalletAddress::new([9; 20]);
    const ALICE: WalletAddress = WalletAddress::new([0xaa; 20]);

    #[test]
    fn a_summary_names_action_amount_source_and_destination() {
        let amount = TokenUnits::new(10_500_000);
        let request = OwnerCall::RequestWithdrawal { to: ALICE, amount };
        assert_eq!(
            request.summary(OWNER, ORG).text(Decimals::new(6).unwrap()),
            format!("Request a withdrawal. Amount: 10.5 USDT. From: {ORG}. To: {ALICE}.")
        );
        let tiny = OwnerCall::SetDailyCap(Some(TokenUnits::new(5))).summary(OWNER, ORG);
        let text = tiny.text(Decimals::new(18).unwrap());
        assert!(text.contains("Amount: 0.000000000000000005 USDT."), "{text}");
        let accept = OwnerCall::AcceptOwnership.summary(OWNER, ORG);
        assert!(accept.text(Decimals::new(6).unwrap()).contains("Amount: none."));
    }

    #[test]
    fn different_calls_never_share_an_action() {
        let zero = WalletAddress::new([0; 20]);
        let amount = TokenUnits::new(1);
        let role = |role| OwnerCall::SetRole { account: ALICE, role };
        let calls = [
            role(ChainRole::Admin),
            role(ChainRole::Member),
            OwnerCall::OfferOwnership { to: ALICE },
            OwnerCall::OfferOwnership { to: zero },
            OwnerCall::AcceptOwnership,
            OwnerCall::RequestWithdrawal { to: ALICE, amount },
            OwnerCall::ExecuteWithdrawal,
            OwnerCall::CancelWithdrawal,
            OwnerCall::SetDailyCap(Some(amount)),
            OwnerCall::SetDailyCap(None),
        ];
        let actions: std::collections::BTreeSet<_> =
            calls.iter().map(|call| call.summary(OWNER, ORG).action).collect();
        assert_eq!(actions.len(), calls.len(), "{actions:?}");
    }
}
