//! What a deployment of the contracts must have before it holds the money of tenants.
//!
//! A stolen server key can settle lines that no call caused. The daily cap bounds the loss, the
//! guardian stops the key, and an owner on another key replaces it. A deployment without one of the
//! three protects no tenant, so the same rule refuses it at `haithe chain deploy` and warns about it
//! in a running service.

use haithe_kernel::{Decimals, TokenUnits, Usdt, WalletAddress};
use std::fmt;

/// Chain ids whose tokens have no value: our own development chain, Hardhat and Anvil.
const DEVELOPMENT_CHAINS: [u64; 2] = [133_717, 31_337];

/// Whether a chain is used for development only. On every other chain the safe setting is the
/// default, and what only tests and demonstrations need is refused or off.
pub const fn is_development_chain(chain_id: u64) -> bool {
    chain_id == DEVELOPMENT_CHAINS[0] || chain_id == DEVELOPMENT_CHAINS[1]
}

/// Who governs a deployment, and the limits that it starts organizations with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Governance {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The cold key, which appoints the server and the guardian.
    pub owner: WalletAddress,
    /// The hot key, which settles.
    pub server: WalletAddress,
    /// The key that can pause, if one is appointed.
    pub guardian: Option<WalletAddress>,
    /// The key that deployed the contracts, where it is known.
    pub deployer: Option<WalletAddress>,
    /// The daily cap of a new organization in base units; `None` when it exceeds 128 bits.
    pub initial_daily_cap: Option<TokenUnits>,
    /// Decimals of the payment token.
    pub decimals: Decimals,
    /// Whether the payment token is the test token, which its owner can mint.
    pub is_test_token: bool,
}

/// A safeguard that a deployment or its configuration lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weakness {
    /// The payment token is the mintable test token.
    TestToken,
    /// New organizations begin without a daily cap.
    NoDailyCap,
    /// Nobody but the owner can pause.
    NoGuardian,
    /// The guardian is the server: a stolen server key is also the key that should stop it.
    GuardianIsServer,
    /// The owner is the server: a stolen server key governs.
    OwnerIsServer,
    /// The owner is the key that deployed, which was on a machine with a network.
    OwnerIsDeployer,
    /// `auth.sites` names this machine.
    LocalSites,
}

impl Governance {
    /// The safeguards that are missing, in a fixed order; none on a development chain.
    pub fn weaknesses(&self) -> Vec<Weakness> {
        if is_development_chain(self.chain_id) {
            return Vec::new();
        }
        let found = [
            (Weakness::TestToken, self.is_test_token),
            (Weakness::NoDailyCap, !self.has_daily_cap()),
            (Weakness::NoGuardian, self.guardian.is_none()),
            (Weakness::GuardianIsServer, self.guardian == Some(self.server)),
            (Weakness::OwnerIsServer, self.owner == self.server),
            (Weakness::OwnerIsDeployer, self.deployer == Some(self.owner)),
        ];
        found
            .into_iter()
            .filter_map(|(weakness, present)| present.then_some(weakness))
            .collect()
    }

    /// A cap above everything that the ledger can count limits nothing.
    fn has_daily_cap(&self) -> bool {
        self.initial_daily_cap
            .is_some_and(|cap| Usdt::from_units(cap, self.decimals).is_ok())
    }
}

impl Weakness {
    /// A stable name for health responses and logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TestToken => "test_token",
            Self::NoDailyCap => "no_daily_cap",
            Self::NoGuardian => "no_guardian",
            Self::GuardianIsServer => "guardian_is_server",
            Self::OwnerIsServer => "owner_is_server",
            Self::OwnerIsDeployer => "owner_is_deployer",
            Self::LocalSites => "local_sites",
        }
    }

    /// The option of `haithe chain deploy`, or the setting, that corrects it before a deployment.
    pub const fn option(self) -> &'static str {
        match self {
            Self::TestToken => "--token",
            Self::NoDailyCap => "--daily-cap",
            Self::NoGuardian | Self::GuardianIsServer => "--guardian",
            Self::OwnerIsServer | Self::OwnerIsDeployer => "--owner",
            Self::LocalSites => "auth.sites",
        }
    }

    /// What corrects it in a deployment that exists.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::TestToken => "deploy again with --token and the address of the real payment token",
            Self::NoDailyCap => {
                "let every organization's owner set a daily cap now, and deploy again with --daily-cap"
            }
            Self::NoGuardian | Self::GuardianIsServer => {
                "let the owner call setGuardian with the address of a separate key"
            }
            Self::OwnerIsServer | Self::OwnerIsDeployer => {
                "transfer the orchestrator's ownership to a cold key (transferOwnership, then acceptOwnership)"
            }
            Self::LocalSites => "set auth.sites to the public addresses of the frontends",
        }
    }
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TestToken => "the payment token is a test token, which its owner can mint without limit",
            Self::NoDailyCap => {
                "new organizations have no daily cap: a stolen server key can take a whole balance in one batch"
            }
            Self::NoGuardian => "there is no guardian: only the cold key can stop a stolen server key",
            Self::GuardianIsServer => {
                "the guardian is the server: a stolen server key cannot be stopped with itself"
            }
            Self::OwnerIsServer => "the owner is the server: a stolen server key governs the contracts",
            Self::OwnerIsDeployer => {
                "the owner is the deployer: a key that was used on a connected machine governs the contracts"
            }
            Self::LocalSites => "auth.sites names this machine: wallets are asked to log in to localhost",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn wallet(byte: u8) -> WalletAddress {
        WalletAddress::new([byte; 20])
    }

    fn safe() -> Governance {
        Governance {
            chain_id: 1,
            owner: wallet(1),
            server: wallet(2),
            guardian: Some(wallet(3)),
            deployer: Some(wallet(4)),
            initial_daily_cap: Some(TokenUnits::new(100_000_000)),
            decimals: Decimals::new(6).unwrap(),
            is_test_token: false,
        }
    }

    #[test]
    fn only_two_chain_ids_are_development_chains() {
        for (id, development) in [
            (133_717, true),
            (31_337, true),
            (1_337, false),
            (1, false),
            (8_217, false),
            (0, false),
        ] {
            assert_eq!(is_development_chain(id), development, "{id}");
        }
    }

    #[test]
    fn a_safe_deployment_has_no_weakness_with_or_without_a_known_deployer() {
        assert_eq!(safe().weaknesses(), []);
        let unknown = Governance {
            deployer: None,
            ..safe()
        };
        assert_eq!(unknown.weaknesses(), []);
    }

    #[test]
    fn each_missing_safeguard_is_named_and_all_of_them_together() {
        type Case = (Weakness, fn(&mut Governance));
        let cases: [Case; 6] = [
            (Weakness::TestToken, |it| it.is_test_token = true),
            (Weakness::NoDailyCap, |it| it.initial_daily_cap = None),
            (Weakness::NoGuardian, |it| it.guardian = None),
            (Weakness::GuardianIsServer, |it| it.guardian = Some(it.server)),
            (Weakness::OwnerIsServer, |it| it.owner = it.server),
            (Weakness::OwnerIsDeployer, |it| it.owner = wallet(4)),
        ];
        for (weakness, weaken) in cases {
            let mut governance = safe();
            weaken(&mut governance);
            assert_eq!(governance.weaknesses(), [weakness]);
            assert!(weakness.option().starts_with("--"));
        }
        let worst = Governance {
            owner: wallet(2),
            guardian: None,
            deployer: Some(wallet(2)),
            initial_daily_cap: None,
            is_test_token: true,
            ..safe()
        };
        assert_eq!(worst.weaknesses().len(), 5);
    }

    #[test]
    fn a_cap_beyond_the_range_of_money_is_no_cap() {
        let mut governance = safe();
        governance.initial_daily_cap = Some(TokenUnits::new(u128::MAX));
        assert_eq!(governance.weaknesses(), [Weakness::NoDailyCap]);
    }

    #[test]
    fn a_development_chain_needs_none_of_it() {
        let open = Governance {
            chain_id: 133_717,
            guardian: None,
            initial_daily_cap: None,
            is_test_token: true,
            ..safe()
        };
        assert_eq!(open.weaknesses(), []);
    }
}
