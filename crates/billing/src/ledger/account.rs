//! The ledger's accounts and their names.

use crate::capture::Payee;
use haithe_kernel::{OrgId, WalletAddress};
use std::{fmt, str::FromStr};

/// A ledger account. Its `Display` form is its name in storage and in reports, and reads back with `FromStr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Account {
    /// Mirror of an organization's contract, as a negative number.
    ChainOrg(OrgId),
    /// Mirror of the orchestrator's balance, as a negative number.
    ChainOrchestrator,
    /// What the organization can spend, before holds.
    Available(OrgId),
    /// Captured, not yet settled on chain.
    Unsettled(OrgId),
    /// Frozen by a withdrawal request.
    Withdrawing(OrgId),
    /// What a creator earned and can withdraw on chain.
    Creator(WalletAddress),
    /// What a payee earned that cannot be paid for now. On chain it is part of the platform's funds.
    Escrow(Payee),
    /// What the platform earned.
    Platform,
    /// What calls cost beyond what their payers could pay.
    PlatformLoss,
    /// Below the smallest unit.
    Dust,
}

impl Account {
    /// The accounts that exist in every ledger from its start.
    pub const SHARED: [Self; 4] = [
        Self::ChainOrchestrator,
        Self::Platform,
        Self::PlatformLoss,
        Self::Dust,
    ];

    /// The accounts that an organization has from its first event on.
    pub const fn of_organization(org: OrgId) -> [Self; 4] {
        [
            Self::ChainOrg(org),
            Self::Available(org),
            Self::Unsettled(org),
            Self::Withdrawing(org),
        ]
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ChainOrg(org) => write!(f, "chain/{org}"),
            Self::ChainOrchestrator => f.write_str("chain/orchestrator"),
            Self::Available(org) => write!(f, "org/{org}/available"),
            Self::Unsettled(org) => write!(f, "org/{org}/unsettled"),
            Self::Withdrawing(org) => write!(f, "org/{org}/withdrawing"),
            Self::Creator(address) => write!(f, "creator/{address}"),
            Self::Escrow(Payee::Platform) => f.write_str("escrow/platform"),
            Self::Escrow(Payee::Creator(address)) => write!(f, "escrow/creator/{address}"),
            Self::Escrow(Payee::Organization(org)) => write!(f, "escrow/org/{org}"),
            Self::Platform => f.write_str("platform"),
            Self::PlatformLoss => f.write_str("platform/loss"),
            Self::Dust => f.write_str("dust"),
        }
    }
}

/// The text is not the name of a ledger account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown ledger account name")]
pub struct AccountError;

impl FromStr for Account {
    type Err = AccountError;

    /// Reads what `Display` writes.
    fn from_str(name: &str) -> Result<Self, AccountError> {
        let mut parts = name.split('/');
        let parts = (parts.next(), parts.next(), parts.next(), parts.next());
        match parts {
            (Some("chain"), Some("orchestrator"), None, _) => Ok(Self::ChainOrchestrator),
            (Some("chain"), Some(id), None, _) => org(id).map(Self::ChainOrg),
            (Some("org"), Some(id), Some("available"), None) => org(id).map(Self::Available),
            (Some("org"), Some(id), Some("unsettled"), None) => org(id).map(Self::Unsettled),
            (Some("org"), Some(id), Some("withdrawing"), None) => org(id).map(Self::Withdrawing),
            (Some("creator"), Some(address), None, _) => wallet(address).map(Self::Creator),
            (Some("escrow"), Some("platform"), None, _) => Ok(Self::Escrow(Payee::Platform)),
            (Some("escrow"), Some("creator"), Some(address), None) => {
                wallet(address).map(|address| Self::Escrow(Payee::Creator(address)))
            }
            (Some("escrow"), Some("org"), Some(id), None) => {
                org(id).map(|org| Self::Escrow(Payee::Organization(org)))
            }
            (Some("platform"), None, _, _) => Ok(Self::Platform),
            (Some("platform"), Some("loss"), None, _) => Ok(Self::PlatformLoss),
            (Some("dust"), None, _, _) => Ok(Self::Dust),
            _ => Err(AccountError),
        }
    }
}

fn org(id: &str) -> Result<OrgId, AccountError> {
    id.parse().map(OrgId).map_err(|_| AccountError)
}

fn wallet(address: &str) -> Result<WalletAddress, AccountError> {
    address.parse().map_err(|_| AccountError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_account_reads_back_from_its_name() {
        let creator = WalletAddress::new([7; 20]);
        let mut accounts = Vec::from(Account::SHARED);
        accounts.extend(Account::of_organization(OrgId(12)));
        accounts.push(Account::Creator(creator));
        for payee in [
            Payee::Platform,
            Payee::Creator(creator),
            Payee::Organization(OrgId(12)),
        ] {
            accounts.push(Account::Escrow(payee));
        }
        for account in accounts {
            assert_eq!(account.to_string().parse(), Ok(account));
        }
    }

    #[test]
    fn rejects_texts_that_are_not_account_names() {
        for name in [
            "",
            "org/12",
            "org/12/available/x",
            "org/x/available",
            "chain/orchestrator/x",
            "platform/profit",
            "platform/loss/x",
            "escrow/org",
            "creator/0x12",
            "dust/1",
        ] {
            assert_eq!(name.parse::<Account>(), Err(AccountError), "{name}");
        }
    }
}
