//! Organizations, projects, members.

use crate::{bots::BotTokens, roles::ChainRole};
use haithe_kernel::{
    ModelId, OrgId, OrgUid, PriceSchedule, ProjectId, ProjectUid, Timestamp, Usdt, WalletAddress,
};
use std::{fmt, str::FromStr, time::Duration};

/// The zero address, which no wallet owns.
pub const ZERO_ADDRESS: WalletAddress = WalletAddress::new([0; 20]);

/// An organization: a contract that holds USDT, mirrored from the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Number in the database.
    pub id: OrgId,
    /// Public identifier.
    pub uid: OrgUid,
    /// Its contract.
    pub address: WalletAddress,
    /// Position in the orchestrator's list, from 1.
    pub orchestrator_index: u64,
    /// Name, as shown. The name on chain is fixed; renaming here changes only this one.
    pub name: String,
    /// Owner on chain.
    pub owner: WalletAddress,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// Deleted organizations keep settling and accept no new call.
    pub deleted_at: Option<Timestamp>,
    /// Whether the block that created it has `chain.confirmations`. Before that a reorganization may
    /// remove it; its address stays reserved for the same owner.
    pub confirmed: bool,
}

/// A project (an agent) of an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Number in the database.
    pub id: ProjectId,
    /// Public identifier.
    pub uid: ProjectUid,
    /// The organization that owns it.
    pub org: OrgId,
    /// Name.
    pub name: String,
    /// Web search offered to the model?
    pub search_enabled: bool,
    /// Conversation memory kept?
    pub memory_enabled: bool,
    /// Messages of memory put before the model, 0 to 100.
    pub memory_window: u8,
    /// Days that memory is kept; `None` keeps it until deleted.
    pub memory_retention_days: Option<u16>,
    /// Do calls go on without a product that cannot be loaded? Else they are refused.
    pub skip_unavailable_products: bool,
    /// Model used when a request names none.
    pub default_model: ModelId,
    /// What another organization pays per call of this public project; a rise is announced first.
    pub price_per_call: PriceSchedule,
    /// May other organizations call it?
    pub public: bool,
    /// Which bots it has.
    pub bots: BotTokens,
    /// When it was created.
    pub created_at: Timestamp,
}

/// What to create.
#[derive(Debug, Clone)]
pub struct NewProject {
    /// Public identifier, freshly drawn.
    pub uid: ProjectUid,
    /// The owner.
    pub org: OrgId,
    /// Name, already validated.
    pub name: String,
    /// Its default model.
    pub default_model: ModelId,
    /// Now.
    pub created_at: Timestamp,
}

/// What to change; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented on Project")]
pub struct ProjectChange {
    pub name: Option<String>,
    pub search_enabled: Option<bool>,
    pub memory_enabled: Option<bool>,
    pub memory_window: Option<u8>,
    pub memory_retention_days: Option<Option<u16>>,
    pub skip_unavailable_products: Option<bool>,
    pub default_model: Option<ModelId>,
    pub price_per_call: Option<Usdt>,
    pub public: Option<bool>,
}

/// How long a rise of a public project's price is announced before it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceNotice(pub Duration);

impl PriceNotice {
    /// The project's price after it is set to `price`. A rise is announced where other organizations could
    /// be calling: the project is public, or one of them `accepted` it.
    pub fn set_price(
        self,
        current: PriceSchedule,
        (public, accepted): (bool, bool),
        price: Usdt,
        now: Timestamp,
    ) -> PriceSchedule {
        let notice = if public || accepted {
            self.0
        } else {
            Duration::ZERO
        };
        current.set(price, now, notice)
    }
}

impl fmt::Display for ProjectChange {
    /// What changes, for the audit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let mut part = |name: &str, value: Option<String>| {
            parts.extend(value.map(|value| format!("{name}={value}")));
        };
        part("name", self.name.as_ref().map(|name| format!("{name:?}")));
        part("search_enabled", self.search_enabled.map(|on| on.to_string()));
        part("memory_enabled", self.memory_enabled.map(|on| on.to_string()));
        part(
            "memory_window",
            self.memory_window.map(|window| window.to_string()),
        );
        let days = |days: Option<u16>| days.map_or_else(|| "null".to_owned(), |days| days.to_string());
        part("memory_retention_days", self.memory_retention_days.map(days));
        part(
            "skip_unavailable_products",
            self.skip_unavailable_products.map(|skip| skip.to_string()),
        );
        part(
            "default_model_id",
            self.default_model.map(|model| model.0.to_string()),
        );
        part(
            "price_per_call_usdt",
            self.price_per_call.map(|price| price.to_string()),
        );
        part("public", self.public.map(|public| public.to_string()));
        f.write_str(&parts.join(" "))
    }
}

macro_rules! role {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// The word on the wire and in the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownRole;
            fn from_str(text: &str) -> Result<Self, UnknownRole> {
                match text { $($text => Ok(Self::$variant),)+ _ => Err(UnknownRole) }
            }
        }
    };
}

/// A role that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown role: an organization has admin and member, a project has admin, developer and viewer")]
pub struct UnknownRole;

role!(
    /// A wallet's role in an organization. The owner is not a member row: the chain says who it is.
    OrgRole {
        /// Runs the organization, except its money and its admins.
        Admin = "admin",
        /// Belongs to it.
        Member = "member",
    }
);

role!(
    /// A wallet's role in a project.
    ProjectRole {
        /// Runs the project.
        Admin = "admin",
        /// Configures it and calls models as it.
        Developer = "developer",
        /// Looks at it.
        Viewer = "viewer",
    }
);

/// A member of an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct OrgMember {
    pub org: OrgId,
    pub address: WalletAddress,
    pub role: OrgRole,
    pub created_at: Timestamp,
    /// What the contract says, as far as the index has come.
    pub on_chain: ChainRole,
}

/// A member of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ProjectMember {
    pub project: ProjectId,
    pub address: WalletAddress,
    pub role: ProjectRole,
}

/// What a wallet is to an organization and, where one is named, to a project of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Owner on chain?
    pub owner: bool,
    /// Role in the organization.
    pub org: Option<OrgRole>,
    /// Role in the project.
    pub project: Option<ProjectRole>,
    /// Role in any project of the organization, which is enough to see the organization.
    pub any_project: bool,
}

/// Longest text to search for, in characters.
pub const SEARCH_CHARS: usize = 64;

/// A text to look for in names; letters A to Z in either case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search(String);

/// A text that cannot be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {SEARCH_CHARS} characters")]
pub struct SearchError;

impl Search {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Search {
    type Err = SearchError;
    fn from_str(text: &str) -> Result<Self, SearchError> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > SEARCH_CHARS {
            return Err(SearchError);
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_rises_with_notice_where_another_organization_could_be_calling() {
        let notice = PriceNotice(Duration::from_secs(60));
        let now = Timestamp::from_seconds(0);
        let free = PriceSchedule::default();
        for (public, accepted, at_once) in [
            (false, false, true),
            (true, false, false),
            (false, true, false),
            (true, true, false),
        ] {
            let raised = notice.set_price(free, (public, accepted), Usdt::whole(499), now);
            assert_eq!(
                raised.in_force(now) == Usdt::whole(499),
                at_once,
                "public {public}, accepted {accepted}"
            );
            assert_eq!(raised.in_force(now.plus(notice.0)), Usdt::whole(499));
        }
    }
}
