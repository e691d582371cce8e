//! Configuration: compiled-in defaults, then files, then the environment; strict throughout.
//!
//! [`Sources`] says where settings come from, [`Config::load`] merges and parses them. An unknown
//! key or a bad value is a [`ConfigError`] that names the setting, where it came from, and what is
//! allowed. Secrets are types that do not print. Nothing else in the process reads the environment.

mod database;
mod layers;
mod sections;
mod values;

pub use database::{Backup, Database, DatabaseUrl, PostgresUrl};
pub use layers::{ConfigError, Environment, Sources};
pub use sections::{
    Agent, Auth, Chain, Content, Conversations, Embeddings, Enclave, Inference, Limits, Log, LogFormat,
    Metrics, Projects, Search, SearchEngineName, Server, Settlement, SiteEntry, Sponsoring, Webhooks,
};

use haithe_billing::batch::{CreditCounts, SealPolicy};
use serde::Deserialize;

/// Everything the service is told. Parsed: whatever is in it can be used as it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The listener and its limits.
    pub server: Server,
    /// Logs.
    pub log: Log,
    /// Figures.
    pub metrics: Metrics,
    /// Rates.
    pub limits: Limits,
    /// The database.
    pub database: Database,
    /// How old the last backup may be.
    pub backup: Backup,
    /// Logins and keys.
    pub auth: Auth,
    /// The key that content is sealed to.
    pub enclave: Enclave,
    /// The chain and the transactions sent to it.
    pub chain: Chain,
    /// When unsettled calls become a batch.
    pub settlement: Settlement,
    /// Models and calls of them.
    pub inference: Inference,
    /// Where loops of agents end.
    pub agent: Agent,
    /// The search engine that agents are offered.
    pub search: Search,
    /// The embedder of knowledge.
    pub embeddings: Embeddings,
    /// What a wallet may keep of its conversations.
    pub conversations: Conversations,
    /// Public projects.
    pub projects: Projects,
    /// Webhooks of projects.
    pub webhooks: Webhooks,
    /// What is kept of creators' sealed content.
    pub content: Content,
    /// The environment that provider keys are looked up in.
    #[serde(skip)]
    pub environment: Environment,
    /// The folder that a catalogue is looked for in.
    #[serde(skip)]
    pub dir: Option<std::path::PathBuf>,
}

impl Config {
    /// The bounds of settlement batches.
    pub fn seal_policy(&self) -> SealPolicy {
        let settlement = &self.settlement;
        SealPolicy {
            max_items: settlement.max_calls,
            max_amount: settlement.max_amount,
            max_age: settlement.max_age,
            max_lines: settlement.max_organizations,
            max_credits_per_line: settlement.max_payees,
            min_credit: settlement.min_credit,
            batch_gas: self.chain.batch_gas,
            ..SealPolicy::new(self.chain.decimals)
        }
    }

    /// Every call that is admitted fits into a batch: a project's products, its owner and the platform
    /// into a line, and such a line into the gas bound.
    fn check_capacity(&self) -> Result<(), ConfigError> {
        let payees = self.settlement.max_payees;
        let least = self.agent.max_products.saturating_add(2);
        if payees < least {
            let problem = format!(
                "must be agent.max_products + 2 ({least}) or more: a call pays the creators of its products, the owner of its project and the platform"
            );
            return Err(ConfigError::setting("settlement.max_payees", &problem));
        }
        let credits = CreditCounts {
            creators: u64::from(payees).saturating_sub(1),
            organizations: 1,
        };
        let policy = self.seal_policy();
        let gas = policy.gas.alone(credits);
        if gas > policy.batch_gas {
            let problem = format!(
                "is too high: a line with {payees} payees may need {gas} gas, more than chain.batch_gas ({})",
                policy.batch_gas
            );
            return Err(ConfigError::setting("settlement.max_payees", &problem));
        }
        Ok(())
    }

    /// Merges and parses all sources.
    ///
    /// # Errors
    /// [`ConfigError`] for the first setting that cannot be used.
    pub fn load(sources: Sources) -> Result<Self, ConfigError> {
        let mut config: Self = layers::merge(&sources)?;
        if config.auth.api_key_signing_key_equals(&config.chain) {
            return Err(ConfigError::setting(
                "auth.api_key_signing_key",
                "must be another key than chain.server_key: whoever verifies API keys must not be able to settle",
            ));
        }
        if config
            .database
            .key_is_one_of([&config.auth.api_key_signing_key, &config.chain.server_key])
        {
            return Err(ConfigError::setting(
                "database.encryption_key",
                "must be another key than auth.api_key_signing_key and chain.server_key: a key has one use",
            ));
        }
        for (other, name) in [
            (&config.chain.server_key, "chain.server_key"),
            (&config.auth.api_key_signing_key, "auth.api_key_signing_key"),
            (&config.database.encryption_key, "database.encryption_key"),
        ] {
            if config.enclave.holds(other) {
                let problem = format!("must be another key than {name}: a key has one use");
                return Err(ConfigError::setting("enclave.key", &problem));
            }
        }
        if config.server.max_buffered_body_bytes < config.server.max_body_bytes {
            return Err(ConfigError::setting(
                "server.max_buffered_body_bytes",
                "must be server.max_body_bytes or more",
            ));
        }
        if config.chain.finality < config.chain.confirmations {
            return Err(ConfigError::setting(
                "chain.finality",
                "must be chain.confirmations or more",
            ));
        }
        config.check_capacity()?;
        if config.chain.faucet && !config.chain.is_for_development() {
            return Err(ConfigError::setting(
                "chain.faucet",
                "must be false: the faucet is for development chains (133717, 31337), which chain.id is not",
            ));
        }
        let (provider, model) = (&config.embeddings.provider, &config.embeddings.model);
        for (path, missing, other) in [
            ("embeddings.model", model, provider),
            ("embeddings.provider", provider, model),
        ] {
            if missing.is_empty() && !other.is_empty() {
                return Err(ConfigError::setting(
                    path,
                    "must not be empty: embeddings need a provider and a model",
                ));
            }
        }
        config.environment = sources.environment;
        config.dir = sources.dir;
        Ok(config)
    }
}

#[cfg(test)]
mod tests;
