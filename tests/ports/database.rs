//! What a database must offer to be tested, and the list of databases.

use haithe_billing::ports::{
    Books, ChainIndex, ChainStats, EarningsStore, Ledger, SettlementStore, TreasuryStore, TxOutbox,
    UsageStore,
};
use haithe_identity::ports::{ApiKeyStore, ChallengeStore, IdempotencyStore, SessionStore, Waitlist};
use haithe_inference::{
    conversations::ConversationStore,
    webhooks::{WebhookInbox, WebhookStore},
};
use haithe_kernel::{Decimals, FixedClock, Timestamp};
use haithe_marketplace::{
    hosting::ContentStore,
    ports::{CreatorStore, ProductStore},
};
use haithe_orgs::ports::{
    AcceptedProjectStore, AuditStore, BotStore, Directory, OrgMemberStore, OrgModelStore, OrgSettingsStore,
    OrgStore, ProjectStore, RoleStore, StandingStore,
};
use std::sync::Arc;

/// 15 January 2026, noon: far from the border of a day or a month.
pub const NOON: Timestamp = Timestamp::from_seconds(1_768_478_400);

/// What a database is opened with.
#[derive(Debug, Clone)]
pub struct Setup {
    pub clock: Arc<FixedClock>,
    pub decimals: Decimals,
}

impl Default for Setup {
    fn default() -> Self {
        Self::with_decimals(18)
    }
}

impl Setup {
    pub fn with_decimals(digits: u8) -> Self {
        Self {
            clock: Arc::new(FixedClock::at(NOON)),
            decimals: Decimals::new(digits).unwrap(),
        }
    }
}

/// One database of its own, with every port that lives in it.
pub trait Database: Sized + Send + Sync + 'static {
    /// An empty one.
    async fn open(setup: Setup) -> Self;
    /// The same data after a restart of the service.
    async fn reopened(self) -> Self;
    fn setup(&self) -> &Setup;
    fn challenges(&self) -> Arc<dyn ChallengeStore>;
    fn sessions(&self) -> Arc<dyn SessionStore>;
    fn api_keys(&self) -> Arc<dyn ApiKeyStore>;
    fn idempotency(&self) -> Arc<dyn IdempotencyStore>;
    /// The slots under an encryption key of this byte.
    fn idempotency_under(&self, byte: u8) -> Arc<dyn IdempotencyStore>;
    fn orgs(&self) -> Arc<dyn OrgStore>;
    fn standings(&self) -> Arc<dyn StandingStore>;
    fn org_members(&self) -> Arc<dyn OrgMemberStore>;
    fn org_models(&self) -> Arc<dyn OrgModelStore>;
    fn org_settings(&self) -> Arc<dyn OrgSettingsStore>;
    fn projects(&self) -> Arc<dyn ProjectStore>;
    fn accepted_projects(&self) -> Arc<dyn AcceptedProjectStore>;
    fn bots(&self) -> Arc<dyn BotStore>;
    fn roles(&self) -> Arc<dyn RoleStore>;
    fn audit(&self) -> Arc<dyn AuditStore>;
    fn directory(&self) -> Arc<dyn Directory>;
    fn ledger(&self) -> Arc<dyn Ledger>;
    fn books(&self) -> Arc<dyn Books>;
    fn settlements(&self) -> Arc<dyn SettlementStore>;
    fn index(&self) -> Arc<dyn ChainIndex>;
    fn treasury(&self) -> Arc<dyn TreasuryStore>;
    fn usage(&self) -> Arc<dyn UsageStore>;
    fn earnings(&self) -> Arc<dyn EarningsStore>;
    fn outbox(&self) -> Arc<dyn TxOutbox>;
    fn conversations(&self) -> Arc<dyn ConversationStore>;
    fn creators(&self) -> Arc<dyn CreatorStore>;
    fn products(&self) -> Arc<dyn ProductStore>;
    fn waitlist(&self) -> Arc<dyn Waitlist>;
    fn chain_stats(&self) -> Arc<dyn ChainStats>;
    fn webhooks(&self) -> Arc<dyn WebhookStore>;
    /// Webhooks under an encryption key of this byte.
    fn webhooks_under(&self, byte: u8) -> Arc<dyn WebhookStore>;
    fn webhook_inbox(&self) -> Arc<dyn WebhookInbox>;
    /// Messages of webhooks under an encryption key of this byte.
    fn webhook_inbox_under(&self, byte: u8) -> Arc<dyn WebhookInbox>;
    fn contents(&self) -> Arc<dyn ContentStore>;
}

/// Runs each named `async fn(db: impl Database)` of the module on every database.
macro_rules! on_every_database {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    use $crate::database::{Database, Setup};
                    super::$test($crate::sqlite::SqliteDatabase::open(Setup::default()).await).await;
                }
            )+
        }
        mod on_postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    use $crate::{database::Setup, postgres::PostgresDatabase};
                    if let Some(db) = PostgresDatabase::available(Setup::default()).await {
                        super::$test(db).await;
                    }
                }
            )+
        }
    };
}
pub(crate) use on_every_database;
