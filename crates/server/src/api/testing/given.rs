//! Who calls, as whom and with what: the same in every test that does not say otherwise.

use haithe_identity::{Tokens, ports::MockSessionStore, session::Session};
use haithe_kernel::{ModelId, OrgId, ProjectId, Timestamp, WalletAddress};
use haithe_orgs::{OrgSettings, Organization, Project, Standing, ports::CallContext};
use secrecy::SecretString;
use std::time::Duration;

pub(super) const WALLET: WalletAddress = WalletAddress::new([1; 20]);
pub(crate) const ORG: &str = "0190a0b0c0d0e0f00102030405060708";
pub(crate) const PROJECT: &str = "1190a0b0c0d0e0f00102030405060708";
pub(crate) const SITE: &str = "https://app.example";
pub(super) const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(super) const MODELS: &str = r#"
[providers.echo]
kind = "sandbox"
[[models]]
id = 1
name = "echo"
display_name = "Echo"
provider = "echo"
price = { per_call = "0.01" }
context = 1000
max_output = 100
capabilities = ["streaming"]
"#;

fn org() -> Organization {
    Organization {
        id: OrgId(1),
        uid: ORG.parse().unwrap(),
        address: WalletAddress::new([9; 20]),
        orchestrator_index: 1,
        name: "acme".into(),
        owner: WALLET,
        created_at: now(),
        deleted_at: None,
        confirmed: true,
    }
}

pub(crate) fn context() -> CallContext {
    CallContext {
        payer: org(),
        project: Project {
            id: ProjectId(1),
            uid: PROJECT.parse().unwrap(),
            org: OrgId(1),
            name: "agent".into(),
            search_enabled: false,
            memory_enabled: false,
            memory_window: 30,
            memory_retention_days: None,
            skip_unavailable_products: false,
            default_model: ModelId(1),
            price_per_call: haithe_kernel::PriceSchedule::default(),
            public: false,
            bots: haithe_orgs::BotTokens::default(),
            created_at: now(),
        },
        standing: owner(),
        models: vec![ModelId(1)],
        products: Vec::new(),
        settings: OrgSettings::default(),
        accepted: None,
    }
}

fn owner() -> Standing {
    Standing {
        owner: true,
        ..Standing::default()
    }
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_seconds(1_700_000_000)
}

pub(super) fn chain() -> crate::config::Chain {
    toml::from_str(&format!(
        r#"
        rpc_url = "http://127.0.0.1:8545"
        public_rpc_url = ""
        id = 1
        orchestrator = "0x{}"
        start_block = 0
        token_decimals = 18
        server_key = "{}"
        confirmations = 1
        finality = 1
        poll_milliseconds = 1000
        rpc_timeout_seconds = 10
        max_fee_gwei = 1
        batch_gas = 8000000
        alarms_from_block = 0
        sponsoring = "development"
        sponsored_per_network = 1
        deployments_per_wallet = 1
        deployments_in_all = 1
        registrations_in_all = 1
        role_changes_per_wallet = 1
        role_changes_in_all = 1
        faucet = false
        faucet_grants_per_wallet = 1
        faucet_grants_per_network = 1
        faucet_grants_in_all = 1
        "#,
        "0a".repeat(20),
        "22".repeat(32)
    ))
    .unwrap()
}

/// A live session's token.
pub(crate) fn token() -> String {
    Tokens::new(&SecretString::from(SECRET))
        .unwrap()
        .sign(WALLET, "jti", now())
        .unwrap()
}

pub(super) fn sessions() -> MockSessionStore {
    let mut sessions = MockSessionStore::new();
    sessions.expect_find().returning(|id, _| {
        Ok(Some(Session {
            id,
            address: WALLET,
            ip: None,
            user_agent: None,
            created_at: now(),
            last_seen_at: now(),
            expires_at: now().plus(Duration::from_secs(60)),
        }))
    });
    sessions
}
