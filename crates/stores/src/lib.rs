//! What a database is to the service: every port that it implements, in one struct.
//!
//! ```text
//!   haithe_sqlite::open(…) ──┐
//!                            ├──► Stores ──► the server's wiring ──► use cases
//!   another database's open ─┘
//! ```
//!
//! A database adapter fills a [`Stores`]; the server chooses the adapter once, by the scheme of
//! `database.url`, and names none of its types afterwards. The crate names ports of the domains only.
//!
//! **Who reads.** Reads for requests without a credential ([`PublicStores`]) and reads of background tasks
//! ([`BackgroundStores`]) must not delay logins and paid calls. Each of the three groups therefore reads on
//! connections of its own.
//!
//! **Guarantees.** The documentation of each port says how far its promises reach:
//! - *Global*: the promise holds over all processes that use the database, because the database decides it,
//!   in one transaction.
//! - *Per process*: the promise holds among the callers in one process only, because memory decides it. While
//!   a port promises something per process, one process at a time may use the database, and the adapter must
//!   refuse a second one.

mod control;
mod groups;
mod schema;

#[cfg(feature = "mocks")]
pub use control::MockDatabaseControl;
pub use control::{AlarmCount, DatabaseControl, ReadCounts, SealedSample};
pub use groups::{BackgroundStores, PublicStores};
pub use schema::{SchemaMigration, SchemaState};

use haithe_billing::ports::{Books, EarningsStore, Ledger, TreasuryStore, UsageStore};
use haithe_identity::ports::{ApiKeyStore, ChallengeStore, IdempotencyStore, SessionStore};
use haithe_inference::{
    conversations::ConversationStore,
    webhooks::{WebhookInbox, WebhookStore},
};
use haithe_marketplace::{
    hosting::ContentStore,
    ports::{CreatorStore, ProductStore},
};
use haithe_orgs::ports::{
    AcceptedProjectStore, AuditStore, BotStore, Directory, OrgMemberStore, OrgModelStore, OrgSettingsStore,
    OrgStore, ProjectStore, StandingStore,
};
use std::sync::Arc;

/// An open database. The fields of this struct serve logins, paid calls and every other request with a
/// credential.
#[derive(Clone)]
pub struct Stores {
    /// Login challenges.
    pub challenges: Arc<dyn ChallengeStore>,
    /// Accounts and sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// API keys.
    pub api_keys: Arc<dyn ApiKeyStore>,
    /// Requests with an `Idempotency-Key`, and their responses.
    pub idempotency: Arc<dyn IdempotencyStore>,

    /// Organizations.
    pub orgs: Arc<dyn OrgStore>,
    /// What wallets are to organizations and projects.
    pub standings: Arc<dyn StandingStore>,
    /// Members of organizations.
    pub org_members: Arc<dyn OrgMemberStore>,
    /// Models that organizations enabled.
    pub org_models: Arc<dyn OrgModelStore>,
    /// Settings of organizations.
    pub org_settings: Arc<dyn OrgSettingsStore>,
    /// Projects and their members.
    pub projects: Arc<dyn ProjectStore>,
    /// Other organizations' projects that organizations accepted.
    pub accepted_projects: Arc<dyn AcceptedProjectStore>,
    /// Tokens of projects' bots.
    pub bots: Arc<dyn BotStore>,
    /// The audit of organizations.
    pub audit: Arc<dyn AuditStore>,
    /// The context of a call.
    pub directory: Arc<dyn Directory>,

    /// Holds and captures.
    pub ledger: Arc<dyn Ledger>,
    /// Receipts, and the ledger's books.
    pub books: Arc<dyn Books>,
    /// Withdrawals and daily caps.
    pub treasury: Arc<dyn TreasuryStore>,
    /// Usage reports.
    pub usage: Arc<dyn UsageStore>,
    /// What creators earned.
    pub earnings: Arc<dyn EarningsStore>,

    /// Creators.
    pub creators: Arc<dyn CreatorStore>,
    /// Products.
    pub products: Arc<dyn ProductStore>,
    /// Sealed content that creators host here.
    pub contents: Arc<dyn ContentStore>,

    /// Conversations and their messages.
    pub conversations: Arc<dyn ConversationStore>,
    /// Webhooks of projects.
    pub webhooks: Arc<dyn WebhookStore>,
    /// Messages that webhooks received.
    pub webhook_inbox: Arc<dyn WebhookInbox>,

    /// The stores of requests without a credential.
    pub public: PublicStores,
    /// The stores of background tasks.
    pub background: BackgroundStores,
    /// The database itself.
    pub database: Arc<dyn DatabaseControl>,
}

/// A database that was opened for reading only, beside a running server or without one.
#[derive(Clone)]
pub struct ReadOnlyStores {
    /// Receipts, and the ledger's books.
    pub books: Arc<dyn Books>,
}
