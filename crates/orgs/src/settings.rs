//! An organization's settings.

use crate::{
    audit::Caller, error::OrgError, organizations::Organizations, policy::Action, ports::OrgSettingsStore,
};
use haithe_identity::api_key::KeyBudget;
use haithe_kernel::{ClientIp, Clock, ModelId, OrgId, WalletAddress};
use ipnet::IpNet;
use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

/// Networks that one allowlist can name.
pub const MOST_NETWORKS: usize = 100;

/// What of a call's texts may be written to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PromptLog {
    /// Nothing.
    #[default]
    None,
    /// Sizes, model and tokens.
    Metadata,
    /// Request and answer.
    Full,
}

impl PromptLog {
    /// The word on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Metadata => "metadata",
            Self::Full => "full",
        }
    }
}

/// A policy that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be none, metadata or full")]
pub struct UnknownPolicy;

impl FromStr for PromptLog {
    type Err = UnknownPolicy;
    fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
        [Self::None, Self::Metadata, Self::Full]
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or(UnknownPolicy)
    }
}

/// From where calls on the organization's account may come. Empty: from everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IpAllowlist(Vec<IpNet>);

/// A text that is no allowlist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllowlistError {
    /// Too many networks.
    #[error("names more than {MOST_NETWORKS} networks")]
    TooMany,
    /// A text that is no network.
    #[error("must be addresses or networks such as 203.0.113.0/24 or 2001:db8::/32")]
    Malformed,
}

impl IpAllowlist {
    /// Reads addresses and networks; their host bits are cleared and doubles left out.
    ///
    /// # Errors
    /// [`AllowlistError`].
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self, AllowlistError> {
        if texts.len() > MOST_NETWORKS {
            return Err(AllowlistError::TooMany);
        }
        let mut networks = Vec::with_capacity(texts.len());
        for text in texts {
            let network = network(text.as_ref().trim()).ok_or(AllowlistError::Malformed)?;
            if !networks.contains(&network) {
                networks.push(network);
            }
        }
        Ok(Self(networks))
    }

    /// Whether a call from here is allowed. One from nobody knows where is not, unless all are.
    pub fn allows(&self, from: Option<ClientIp>) -> bool {
        let inside = |ip: ClientIp| self.0.iter().any(|network| network.contains(&ip.get()));
        self.0.is_empty() || from.is_some_and(inside)
    }

    /// The networks, as they are shown.
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

/// A network, or one address. IPv4 written as IPv6 becomes IPv4, as callers' addresses do.
fn network(text: &str) -> Option<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical().into());
    }
    let network: IpNet = text.parse().ok()?;
    match network {
        IpNet::V6(six) if six.prefix_len() >= 96 => match six.addr().to_ipv4_mapped() {
            Some(four) => IpNet::new(four.into(), six.prefix_len() - 96).ok(),
            None => Some(network.trunc()),
        },
        _ => Some(network.trunc()),
    }
}

/// An organization's settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OrgSettings {
    /// What new projects begin with, and what is called when a request names no model and the
    /// project's own default cannot be called. `None`: the service's.
    pub default_model: Option<ModelId>,
    /// What of a call's texts may be logged.
    pub prompt_log: PromptLog,
    /// From where calls on its account may come.
    pub ip_allowlist: IpAllowlist,
    /// What a new API key may spend, unless its maker names another budget. `None`: no limit.
    pub default_key_budget: Option<KeyBudget>,
}

/// What to change; `None` leaves a setting as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "documented on OrgSettings")]
pub struct OrgSettingsChange {
    pub default_model: Option<Option<ModelId>>,
    pub prompt_log: Option<PromptLog>,
    pub ip_allowlist: Option<IpAllowlist>,
    pub default_key_budget: Option<Option<KeyBudget>>,
}

impl fmt::Display for OrgSettingsChange {
    /// What changes, for the audit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(model) = self.default_model {
            let model = model.map_or_else(|| "null".to_owned(), |model| model.0.to_string());
            parts.push(format!("default_model_id={model}"));
        }
        if let Some(policy) = self.prompt_log {
            parts.push(format!("prompt_log={}", policy.as_str()));
        }
        if let Some(list) = &self.ip_allowlist {
            parts.push(format!("ip_allowlist=[{}]", list.texts().join(",")));
        }
        if let Some(budget) = self.default_key_budget {
            let budget = budget.map_or_else(|| "null".to_owned(), |budget| budget.to_string());
            parts.push(format!("default_key_budget={budget}"));
        }
        f.write_str(&parts.join(" "))
    }
}

/// Use case: an organization's settings.
pub struct Settings {
    organizations: Arc<Organizations>,
    store: Arc<dyn OrgSettingsStore>,
    clock: Arc<dyn Clock>,
}

impl Settings {
    /// Composes the use case.
    pub fn new(
        organizations: Arc<Organizations>,
        store: Arc<dyn OrgSettingsStore>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            organizations,
            store,
            clock,
        }
    }

    /// The settings.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table.
    pub async fn show(&self, caller: WalletAddress, org: OrgId) -> Result<OrgSettings, OrgError> {
        self.organizations
            .authorize(caller, org, Action::ReadAdministration)
            .await?;
        Ok(self.store.settings(org).await?)
    }

    /// What a new API key of the wallet may spend when its maker names no budget: the default of `org`,
    /// or, for a key that is bound to no organization, the tightest default of all organizations that
    /// the wallet has a role in. That the wallet may make a key for `org` is decided before.
    ///
    /// # Errors
    /// The store's.
    pub async fn budget_of_new_key(
        &self,
        wallet: WalletAddress,
        org: Option<OrgId>,
    ) -> Result<Option<KeyBudget>, OrgError> {
        let budgets = self.store.default_key_budgets(wallet, org).await?;
        Ok(KeyBudget::tightest(budgets))
    }

    /// Changes them. Calls that begin afterwards go by the new ones. That a model exists is the
    /// catalogue's word, asked before.
    ///
    /// # Errors
    /// [`OrgError::NothingToChange`] and the rule table's.
    pub async fn change(
        &self,
        caller: impl Into<Caller>,
        org: OrgId,
        change: OrgSettingsChange,
    ) -> Result<OrgSettings, OrgError> {
        let caller = caller.into();
        self.organizations
            .authorize(caller.address, org, Action::ManageOrg)
            .await?;
        if change == OrgSettingsChange::default() {
            return Err(OrgError::NothingToChange);
        }
        let act = caller.acts(self.clock.now());
        Ok(self.store.change_settings(org, change, act).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<ClientIp> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn an_empty_list_allows_everybody_and_any_other_only_its_networks() {
        let everybody = IpAllowlist::default();
        assert!(everybody.allows(ip("192.0.2.1")) && everybody.allows(None));
        let list = IpAllowlist::parse(&["203.0.113.7", "10.1.2.3/8", "2001:db8::/32"]).unwrap();
        for (from, allowed) in [
            ("203.0.113.7", true),
            ("203.0.113.8", false),
            ("::ffff:203.0.113.7", true),
            ("10.200.0.1", true),
            ("11.0.0.1", false),
            ("2001:db8:1::9", true),
            ("2001:db9::9", false),
        ] {
            assert_eq!(list.allows(ip(from)), allowed, "{from}");
        }
        assert!(!list.allows(None), "from nobody knows where");
    }

    #[test]
    fn networks_are_shown_as_what_they_cover_and_once() {
        let list = IpAllowlist::parse(&["10.1.2.3/8", "10.0.0.0/8", "::ffff:192.0.2.1/128", "::1"]).unwrap();
        assert_eq!(list.texts(), ["10.0.0.0/8", "192.0.2.1/32", "::1/128"]);
        assert_eq!(IpAllowlist::parse(&list.texts()).unwrap(), list);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "example.com",
            "10.0.0.0/33",
            "10.0.0",
            "*",
            "10.0.0.0/8,11.0.0.0/8",
        ] {
            assert_eq!(
                IpAllowlist::parse(&[text]),
                Err(AllowlistError::Malformed),
                "{text}"
            );
        }
        let many = vec!["10.0.0.0/8"; MOST_NETWORKS + 1];
        assert_eq!(IpAllowlist::parse(&many), Err(AllowlistError::TooMany));
    }
}
