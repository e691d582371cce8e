//! The sections of the configuration. `config/default.toml` says what each setting means.

use super::values;
use haithe_identity::Site;
use haithe_inference::agent::AgentLimits;
use haithe_kernel::{Decimals, Usdt, WalletAddress};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use url::Url;

/// `[server]`: the listener and its limits.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every setting")]
pub struct Server {
    #[serde(deserialize_with = "values::ip")]
    pub host: IpAddr,
    #[serde(deserialize_with = "values::within::<0, 65_535, _, _>")]
    pub port: u16,
    #[serde(deserialize_with = "values::within::<0, 1024, _, _>")]
    pub worker_threads: usize,
    #[serde(deserialize_with = "values::within::<1, 1_000_000, _, _>")]
    pub max_connections: usize,
    #[serde(deserialize_with = "values::within::<1, 1_000_000, _, _>")]
    pub max_connections_per_client: usize,
    #[serde(rename = "header_timeout_seconds", deserialize_with = "values::seconds")]
    pub header_timeout: Duration,
    #[serde(rename = "body_timeout_seconds", deserialize_with = "values::seconds")]
    pub body_timeout: Duration,
    #[serde(rename = "request_timeout_seconds", deserialize_with = "values::seconds")]
    pub request_timeout: Duration,
    #[serde(rename = "write_stall_seconds", deserialize_with = "values::seconds")]
    pub write_stall: Duration,
    #[serde(deserialize_with = "values::within::<8_192, 1_048_576, _, _>")]
    pub max_header_bytes: usize,
    #[serde(deserialize_with = "values::within::<1_024, 1_073_741_824, _, _>")]
    pub max_body_bytes: usize,
    #[serde(deserialize_with = "values::within::<1_048_576, 1_099_511_627_776, _, _>")]
    pub max_buffered_body_bytes: usize,
    #[serde(rename = "shutdown_seconds", deserialize_with = "values::seconds")]
    pub shutdown: Duration,
    #[serde(deserialize_with = "values::networks")]
    pub trusted_proxies: Vec<ipnet::IpNet>,
    #[serde(deserialize_with = "values::origins")]
    pub allowed_origins: Vec<String>,
    #[serde(
        rename = "hsts_max_age_seconds",
        deserialize_with = "values::optional_seconds::<63_072_000, _>"
    )]
    pub hsts_max_age: Option<Duration>,
}

impl Server {
    /// Where to listen.
    pub const fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }
}

/// `[log]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every setting")]
pub struct Log {
    pub format: LogFormat,
    pub filter: String,
    #[serde(rename = "slow_milliseconds", deserialize_with = "values::milliseconds")]
    pub slow: Duration,
}

/// `[metrics]`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every setting")]
pub struct Metrics {
    #[serde(deserialize_with = "values::optional_socket")]
    pub address: Option<SocketAddr>,
}

/// `[limits]`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every setting")]
pub struct Limits {
    #[serde(deserialize_with = "values::within::<0, 1_000_000_000, _, _>")]
    pub requests_per_address: u32,
    #[serde(deserialize_with = "values::within::<0, 1_000_000_000, _, _>")]
    pub logins_per_address: u32,
    #[serde(deserialize_with = "values::within::<0, 1_000_000_000, _, _>")]
    pub requests_per_project: u32,
    #[serde(deserialize_with = "values::within::<0, 1_000_000_000, _, _>")]
    pub requests_per_organization: u32,
    #[serde(deserialize_with = "values::within::<0, 4_000_000_000, _, _>")]
    pub tokens_per_project: u32,
    #[serde(deserialize_with = "values::within::<0, 4_000_000_000, _, _>")]
    pub tokens_per_organization: u32,
    #[serde(deserialize_with = "values::within::<0, 1_000_000_000, _, _>")]
    pub requests_per_webhook: u32,
    #[serde(deserialize_with = "values::within::<0, 1_000_000, _, _>")]
    pub concurrent_per_organization: usize,
    #[serde(deserialize_with = "values::within::<0, 1_000_000, _, _>")]
    pub requests_per_host: u32,
    #[serde(deserialize_with = "values::within::<0, 10_000, _, _>")]
    pub concurrent_per_host: usize,
    #[serde(deserialize_with = "values::within::<0, 1_000_000, _, _>")]
    pub pages_per_host: u32,
    #[serde(deserialize_with = "values::within::<0, 10_000, _, _>")]
    pub concurrent_pages_per_host: usize,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object per line.
    Json,
}

/// `[auth]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every setting")]
pub struct Auth {
    #[serde(deserialize_with = "values::jwt_secret")]
    pub jwt_secret: SecretString,
    #[serde(deserialize_with = "values::private_key")]
    pub api_key_signing_key: SecretString,
    pub sites: Sites,
}

impl Auth {
    pub(super) fn api_key_signing_key_equals(&self, chain: &Chain) -> bool {
        self.api_key_signing_key.expose_secret() == chain.server_key.expose_secret()
    }
}

/// `[enclave]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every setting")]
pub struct Enclave {
    #[serde(deserialize_with = "values::private_key")]
    pub key: SecretString,
    #[serde(deserialize_with = "values::private_keys")]
    pub former_keys: Vec<SecretString>,
    #[serde(deserialize_with = "values::optional_url")]
    pub attestation_agent: Option<Url>,
}

impl Enclave {
    /// Whether one of the keys is this one.
    pub(super) fn holds(&self, other: &SecretString) -> bool {
        std::iter::once(&self.key)
            .chain(&self.former_keys)
            .any(|key| key.expose_secret() == other.expose_secret())
    }
}

/// `[[auth.sites]]`: one or more.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Vec<SiteEntry>")]
pub struct Sites {
    /// Serves clients that send no `Origin`.
    pub first: Site,
    /// Selected by their `Origin`.
    pub others: Vec<Site>,
}

impl Sites {
    /// Whether a site names the machine of whoever opens it, as the default does.
    pub(crate) fn are_local(&self) -> bool {
        std::iter::once(&self.first)
            .chain(&self.others)
            .any(|site| match site.uri.host() {
                Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
                Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
                Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
                None => false,
            })
    }

    /// The origins of all sites.
    pub fn origins(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.first)
            .chain(&self.others)
            .map(|site| site.origin.as_str())
    }
}

impl TryFrom<Vec<SiteEntry>> for Sites {
    type Error = &'static str;
    fn try_from(entries: Vec<SiteEntry>) -> Result<Self, Self::Error> {
        let mut sites = entries.into_iter().map(|entry| Site {
            domain: entry.domain,
            uri: entry.uri,
            origin: entry.origin,
        });
        let first = sites.next().ok_or("must name at least one site")?;
        Ok(Self {
            first,
            others: sites.collect(),
        })
    }
}

/// A site as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "documented on identity's Site")]
pub struct SiteEntry {
    #[serde(deserialize_with = "values::authority")]
    pub domain: String,
    #[serde(deserialize_with = "values::url")]
    pub uri: Url,
    #[serde(deserialize_with = "values::origin")]
    pub origin: String,
}

/// `[chain]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every setting")]
pub struct Chain {
    #[serde(deserialize_with = "values::secret_url")]
    pub rpc_url: SecretString,
    #[serde(deserialize_with = "values::optional_url")]
    pub public_rpc_url: Option<Url>,
    #[serde(deserialize_with = "values::within::<1, 9_007_199_254_740_991, _, _>")]
    pub id: u64,
    #[serde(deserialize_with = "values::address")]
    pub orchestrator: WalletAddress,
    #[serde(deserialize_with = "values::within::<0, 9_007_199_254_740_991, _, _>")]
    pub start_block: u64,
    #[serde(deserialize_with = "values::within::<0, 9_007_199_254_740_991, _, _>")]
    pub alarms_from_block: u64,
    #[serde(rename = "token_decimals", deserialize_with = "values::decimals")]
    pub decimals: Decimals,
    #[serde(deserialize_with = "values::private_key")]
    pub server_key: SecretString,
    #[serde(deserialize_with = "values::within::<1, 10_000, _, _>")]
    pub confirmations: u64,
    #[serde(deserialize_with = "values::within::<1, 100_000, _, _>")]
    pub finality: u64,
    #[serde(rename = "poll_milliseconds", deserialize_with = "values::milliseconds")]
    pub poll: Duration,
    #[serde(rename = "rpc_timeout_seconds", deserialize_with = "values::seconds")]
    pub rpc_timeout: Duration,
    #[serde(deserialize_with = "values::within::<1, 1_000_000, _, _>")]
    pub max_fee_gwei: u64,
    pub sponsoring: Sponsoring,
    #[serde(deserialize_with = "values::within::<0, 1_000_000, _, _>")]
    pub sponsored_per_network: u64,
    #[serde(deserialize_with = "values::within::<7_000_000, 15_777_216, _, _>")]
    pub batch_gas: u64,
    #[serde(deserialize_with = "values::within::<0, 1_000_000, _, _>")]
    pub deployments_per_wallet: u64,
    #[serde(deserialize_with = "values::within::<0, 1_000_000, _, _>")]
    pub deployments_in_all: u64,
    #[serde(deserialize_with = "values::within::<0, 1_000_000, _, _>")]
    pub registrations_in_all: u64,
    #[serde(deserialize_with = "values::within::<0, 1_000_000, _, _>")]
    pub role_changes_per_wallet: u64,
    #[serde(deserialize_with = "values::within::<0, 1_000_000, _, _>")]
    pub role_changes_in_all: u64,
    pub faucet: bool,
    #[serde(deserialize_with = "values::within::<0, 1_000_000, _, _>")]
    pub faucet_grants_per_wallet: u64,
    #[serde(deserialize_with = "values::within::<0, 1_000_000, _, _>")]
    pub faucet_grants_per_network: u64,
    #[serde(deserialize_with = "values::within::<0, 1_000_000, _, _>")]
    pub faucet_grants_in_all: u64,
}

impl Chain {
    /// Whether the server creates organizations and registers creators for other wallets at its expense.
    pub(crate) const fn sponsors(&self) -> bool {
        match self.sponsoring {
            Sponsoring::Always => true,
            Sponsoring::Never => false,
            Sponsoring::Development => self.is_for_development(),
        }
    }

    /// Whether the chain is used for development only.
    pub(crate) const fn is_for_development(&self) -> bool {
        haithe_billing::deployment::is_development_chain(self.id)
    }
}

/// When the server pays for the transactions of other wallets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sponsoring {
    /// On development chains (ids 133717 and 31337) only.
    Development,
    /// On any chain.
    Always,
    /// On no chain.
    Never,
}

/// `[settlement]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every setting")]
pub struct Settlement {
    #[serde(deserialize_with = "values::within::<1, 1_000_000, _, _>")]
    pub max_calls: u32,
    #[serde(rename = "max_amount_usdt", deserialize_with = "values::amount")]
    pub max_amount: Usdt,
    #[serde(rename = "max_age_seconds", deserialize_with = "values::seconds")]
    pub max_age: Duration,
    #[serde(deserialize_with = "values::within::<1, 100, _, _>")]
    pub max_organizations: u32,
    #[serde(deserialize_with = "values::within::<3, 100, _, _>")]
    pub max_payees: u32,
    #[serde(rename = "min_credit_usdt", deserialize_with = "values::amount_or_zero")]
    pub min_credit: Usdt,
    #[serde(rename = "poll_milliseconds", deserialize_with = "values::milliseconds")]
    pub poll: Duration,
    #[serde(rename = "check_seconds", deserialize_with = "values::seconds")]
    pub check_every: Duration,
    #[serde(rename = "check_alarm_seconds", deserialize_with = "values::seconds")]
    pub check_alarm: Duration,
}

/// `[inference]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every setting")]
pub struct Inference {
    pub catalogue: String,
    pub sandbox: bool,
    #[serde(deserialize_with = "values::within::<1, 128, _, _>")]
    pub max_choices: u32,
    #[serde(deserialize_with = "values::within::<1, 1_000_000, _, _>")]
    pub max_concurrent_calls: usize,
}

/// `[agent]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every setting")]
pub struct Agent {
    #[serde(deserialize_with = "values::within::<1, 100, _, _>")]
    pub max_steps: u32,
    #[serde(rename = "max_seconds", deserialize_with = "values::seconds")]
    pub max_time: Duration,
    #[serde(rename = "tool_seconds", deserialize_with = "values::seconds")]
    pub tool_time: Duration,
    #[serde(rename = "max_cost_usdt", deserialize_with = "values::amount")]
    pub max_cost: Usdt,
    #[serde(deserialize_with = "values::within::<1, 128, _, _>")]
    pub max_calls_per_turn: usize,
    #[serde(deserialize_with = "values::within::<256, 16_777_216, _, _>")]
    pub max_tool_bytes: usize,
    #[serde(deserialize_with = "values::within::<1, 98, _, _>")]
    pub max_products: u32,
}

impl From<&Agent> for AgentLimits {
    fn from(agent: &Agent) -> Self {
        Self {
            steps: agent.max_steps,
            time: agent.max_time,
            tool_time: agent.tool_time,
            cost: agent.max_cost,
            calls_per_turn: agent.max_calls_per_turn,
            tool_bytes: agent.max_tool_bytes,
            ..Self::default()
        }
    }
}

/// `[search]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every setting")]
pub struct Search {
    #[serde(deserialize_with = "values::search_engine")]
    pub engine: Option<SearchEngineName>,
    #[serde(deserialize_with = "values::optional_url")]
    pub url: Option<Url>,
    #[serde(deserialize_with = "values::secret_text")]
    pub key: SecretString,
    #[serde(deserialize_with = "values::within::<1, 20, _, _>")]
    pub results: usize,
}

/// Whose answers are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "names of engines")]
pub enum SearchEngineName {
    SearXng,
    Brave,
    Tavily,
}

/// `[embeddings]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every setting")]
pub struct Embeddings {
    pub provider: String,
    pub model: String,
    #[serde(deserialize_with = "values::within::<0, 4_096, _, _>")]
    pub dimensions: u32,
    #[serde(rename = "timeout_seconds", deserialize_with = "values::seconds")]
    pub timeout: Duration,
    #[serde(deserialize_with = "values::within::<256, 1_048_576, _, _>")]
    pub max_text_bytes: usize,
}

/// `[conversations]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every setting")]
pub struct Conversations {
    #[serde(deserialize_with = "values::within::<1, 1_000_000, _, _>")]
    pub max_per_wallet: u64,
    #[serde(deserialize_with = "values::within::<1_024, 1_099_511_627_776, _, _>")]
    pub max_bytes_per_wallet: u64,
}

/// `[projects]`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every setting")]
pub struct Projects {
    #[serde(
        rename = "price_notice_seconds",
        deserialize_with = "values::seconds_or_none::<31_536_000, _>"
    )]
    pub price_notice: Duration,
}

/// `[webhooks]`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every setting")]
pub struct Webhooks {
    #[serde(deserialize_with = "values::within::<0, 10_000, _, _>")]
    pub max_per_project: u32,
    #[serde(deserialize_with = "values::within::<1_024, 4_194_304, _, _>")]
    pub max_payload_bytes: usize,
}

/// `[content]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every setting")]
pub struct Content {
    #[serde(deserialize_with = "values::within::<1_024, 33_554_432, _, _>")]
    pub max_bytes: usize,
    #[serde(deserialize_with = "values::within::<0, 1_000_000, _, _>")]
    pub max_per_wallet: u64,
    #[serde(deserialize_with = "values::within::<0, 1_099_511_627_776, _, _>")]
    pub max_bytes_per_wallet: u64,
    #[serde(deserialize_with = "values::within::<0, 1_099_511_627_776, _, _>")]
    pub max_bytes_in_all: u64,
    #[serde(deserialize_with = "values::within::<0, 17_179_869_184, _, _>")]
    pub cache_bytes: u64,
    #[serde(rename = "cache_seconds", deserialize_with = "values::seconds")]
    pub cache: Duration,
    #[serde(rename = "unreferenced_days", deserialize_with = "values::days")]
    pub unreferenced: Duration,
}
