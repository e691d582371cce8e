//! PostgreSQL, as the suites see it: a database of its own, opened again at will.
//!
//! The chain's index, batches and the outbox are not on PostgreSQL yet: what a suite needs of the index comes from
//! [`DirectoryIndex`], and [`READY`] lists the suites that need no other. The suites `ledger`, `ledger_bounds`,
//! `ledger_under_random_use`, `books` and `figures` are ready as soon as the index and batches are.

mod index;
mod instances;
mod money;
mod usage;

use crate::database::{Database, Setup};
use haithe_billing::ports::{
    Books, ChainIndex, ChainStats, EarningsStore, Ledger, SettlementStore, TreasuryStore, TxOutbox,
    UsageStore,
};
use haithe_encryption::EncryptionKey;
use haithe_identity::ports::{ApiKeyStore, ChallengeStore, IdempotencyStore, SessionStore, Waitlist};
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
    OrgStore, ProjectStore, RoleStore, StandingStore,
};
use haithe_postgres::{
    Db, PgAcceptedProjectStore, PgApiKeyStore, PgAuditStore, PgBooks, PgBotStore, PgChallengeStore, PgConfig,
    PgContentStore, PgConversationStore, PgCreatorStore, PgDirectory, PgIdempotencyStore, PgInstance,
    PgLedger, PgOrgMemberStore, PgOrgModelStore, PgOrgSettingsStore, PgOrgStore, PgProductStore,
    PgProjectStore, PgRoleStore, PgSessionStore, PgStandingStore, PgUsageStore, PgWaitlist, PgWebhookInbox,
    PgWebhookStore,
};
use haithe_tests::postgres::TestDatabase;
use index::DirectoryIndex;
use secrecy::SecretString;
use std::sync::Arc;

/// Suites whose ports are on PostgreSQL.
const READY: &[&str] = &[
    "accepted_projects",
    "api_keys",
    "bots",
    "challenges",
    "contents",
    "conversations",
    "creators",
    "directory",
    "governance",
    "idempotency",
    "orgs",
    "product_uses",
    "products",
    "projects",
    "sessions",
    "waitlist",
    "webhook_inbox",
    "webhooks",
];

/// Tests of these suites that need other ports, too.
const NOT_READY: &[&str] = &[
    // The ledger.
    "a_deleted_project_is_gone_and_its_receipts_stay",
    "a_restart_frees_what_was_under_way_and_nothing_else",
    "calls_and_projects_are_counted_and_sorted_by",
    "reading_and_spending_leave_answers_fresh",
    "what_is_booked_is_never_free_again",
    // What the chain says about owners and roles.
    "a_decision_opens_a_change_until_it_is_settled",
    "a_decision_survives_the_rewind_of_what_it_overruled",
    "a_reorganization_brings_no_removed_member_back",
    "an_offer_of_ownership_follows_the_chain",
    "every_change_makes_older_answers_stale",
    "our_own_transactions_change_what_is_seen_and_decide_nothing",
    "the_owner_follows_the_chain_and_a_rewind",
    "the_owners_transaction_decides_here_too",
    "what_was_mined_before_a_decision_and_is_seen_after_it_is_older",
];

/// Whether a test, by its path `ports::<suite>::…::<test>`, needs only ports that are on PostgreSQL.
fn is_ready(test: &str) -> bool {
    let suite = test.split("::").nth(1).unwrap_or_default();
    let name = test.rsplit("::").next().unwrap_or_default();
    READY.contains(&suite) && !NOT_READY.contains(&name)
}

pub struct PostgresDatabase {
    db: Db,
    instance: PgInstance,
    ledger: PgLedger,
    setup: Setup,
    database: TestDatabase,
}

impl PostgresDatabase {
    /// An empty one for this test; `None` when there is no server, or not every port.
    pub async fn available(test: &str, setup: Setup) -> Option<Self> {
        if !is_ready(test) {
            println!("skipped: its ports are not on PostgreSQL yet");
            return None;
        }
        let database = TestDatabase::create().await?;
        Some(Self::at(database, setup).await)
    }

    async fn at(database: TestDatabase, setup: Setup) -> Self {
        let config = PgConfig {
            core_connections: 8,
            other_connections: 2,
            ..PgConfig::new(database.url(), setup.decimals)
        };
        let db = Db::open(&config).await.unwrap();
        let instance = PgInstance::start(&db).await.unwrap();
        let ledger = PgLedger::start(&db, &instance);
        Self {
            db,
            instance,
            ledger,
            setup,
            database,
        }
    }
}

fn encryption_key(byte: u8) -> EncryptionKey {
    let digits = SecretString::from(hex::encode([byte; 32]));
    EncryptionKey::parse(&digits).unwrap()
}

fn missing(port: &str) -> ! {
    panic!("{port} is not on PostgreSQL yet")
}

impl Database for PostgresDatabase {
    async fn open(setup: Setup) -> Self {
        let database = TestDatabase::create().await.expect("a PostgreSQL server");
        Self::at(database, setup).await
    }

    async fn reopened(self) -> Self {
        self.ledger.settled().await.unwrap();
        self.instance.resign().await.unwrap();
        self.db.close().await;
        Self::at(self.database, self.setup).await
    }

    fn setup(&self) -> &Setup {
        &self.setup
    }
    fn challenges(&self) -> Arc<dyn ChallengeStore> {
        Arc::new(PgChallengeStore::new(&self.db))
    }
    fn sessions(&self) -> Arc<dyn SessionStore> {
        Arc::new(PgSessionStore::new(&self.db))
    }
    fn api_keys(&self) -> Arc<dyn ApiKeyStore> {
        Arc::new(PgApiKeyStore::new(&self.db))
    }
    fn idempotency(&self) -> Arc<dyn IdempotencyStore> {
        self.idempotency_under(7)
    }
    fn idempotency_under(&self, byte: u8) -> Arc<dyn IdempotencyStore> {
        Arc::new(PgIdempotencyStore::new(&self.db, &encryption_key(byte)))
    }
    fn orgs(&self) -> Arc<dyn OrgStore> {
        Arc::new(PgOrgStore::new(&self.db))
    }
    fn standings(&self) -> Arc<dyn StandingStore> {
        Arc::new(PgStandingStore::new(&self.db))
    }
    fn org_members(&self) -> Arc<dyn OrgMemberStore> {
        Arc::new(PgOrgMemberStore::new(&self.db))
    }
    fn org_models(&self) -> Arc<dyn OrgModelStore> {
        Arc::new(PgOrgModelStore::new(&self.db))
    }
    fn org_settings(&self) -> Arc<dyn OrgSettingsStore> {
        Arc::new(PgOrgSettingsStore::new(&self.db))
    }
    fn projects(&self) -> Arc<dyn ProjectStore> {
        Arc::new(PgProjectStore::new(&self.db))
    }
    fn accepted_projects(&self) -> Arc<dyn AcceptedProjectStore> {
        Arc::new(PgAcceptedProjectStore::new(&self.db))
    }
    fn bots(&self) -> Arc<dyn BotStore> {
        Arc::new(PgBotStore::new(&self.db, &encryption_key(0x7e)))
    }
    fn roles(&self) -> Arc<dyn RoleStore> {
        Arc::new(PgRoleStore::new(&self.db))
    }
    fn audit(&self) -> Arc<dyn AuditStore> {
        Arc::new(PgAuditStore::new(&self.db))
    }
    fn directory(&self) -> Arc<dyn Directory> {
        Arc::new(PgDirectory::new(&self.db))
    }
    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(self.ledger.clone())
    }
    fn books(&self) -> Arc<dyn Books> {
        Arc::new(PgBooks::new(&self.db))
    }
    fn settlements(&self) -> Arc<dyn SettlementStore> {
        missing("SettlementStore")
    }
    fn index(&self) -> Arc<dyn ChainIndex> {
        Arc::new(DirectoryIndex::new(
            &self.db,
            &self.database.url(),
            self.setup.decimals,
        ))
    }
    fn treasury(&self) -> Arc<dyn TreasuryStore> {
        missing("TreasuryStore")
    }
    fn usage(&self) -> Arc<dyn UsageStore> {
        Arc::new(PgUsageStore::new(&self.db))
    }
    fn earnings(&self) -> Arc<dyn EarningsStore> {
        missing("EarningsStore")
    }
    fn outbox(&self) -> Arc<dyn TxOutbox> {
        missing("TxOutbox")
    }
    fn conversations(&self) -> Arc<dyn ConversationStore> {
        Arc::new(PgConversationStore::new(&self.db))
    }
    fn creators(&self) -> Arc<dyn CreatorStore> {
        Arc::new(PgCreatorStore::new(&self.db))
    }
    fn products(&self) -> Arc<dyn ProductStore> {
        Arc::new(PgProductStore::new(&self.db))
    }
    fn waitlist(&self) -> Arc<dyn Waitlist> {
        Arc::new(PgWaitlist::new(&self.db))
    }
    fn chain_stats(&self) -> Arc<dyn ChainStats> {
        missing("ChainStats")
    }
    fn webhooks(&self) -> Arc<dyn WebhookStore> {
        self.webhooks_under(0x7e)
    }
    fn webhooks_under(&self, byte: u8) -> Arc<dyn WebhookStore> {
        Arc::new(PgWebhookStore::new(&self.db, &encryption_key(byte)))
    }
    fn webhook_inbox(&self) -> Arc<dyn WebhookInbox> {
        self.webhook_inbox_under(0x7e)
    }
    fn webhook_inbox_under(&self, byte: u8) -> Arc<dyn WebhookInbox> {
        Arc::new(PgWebhookInbox::new(&self.db, &encryption_key(byte)))
    }
    fn contents(&self) -> Arc<dyn ContentStore> {
        Arc::new(PgContentStore::new(&self.db))
    }
}
