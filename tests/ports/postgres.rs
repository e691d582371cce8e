//! PostgreSQL, as the suites see it: a database of its own, opened again at will.

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
    Db, PgAcceptedProjectStore, PgApiKeyStore, PgAuditStore, PgBooks, PgBotStore, PgChainIndex, PgChainStats,
    PgChallengeStore, PgConfig, PgContentStore, PgConversationStore, PgCreatorStore, PgDirectory,
    PgEarningsStore, PgIdempotencyStore, PgInstance, PgLedger, PgOrgMemberStore, PgOrgModelStore,
    PgOrgSettingsStore, PgOrgStore, PgProductStore, PgProjectStore, PgRoleStore, PgSessionStore,
    PgSettlementStore, PgStandingStore, PgTreasuryStore, PgTxOutbox, PgUsageStore, PgWaitlist,
    PgWebhookInbox, PgWebhookStore,
};
use haithe_tests::postgres::TestDatabase;
use secrecy::SecretString;
use std::sync::Arc;

pub struct PostgresDatabase {
    db: Db,
    instance: PgInstance,
    ledger: PgLedger,
    setup: Setup,
    database: TestDatabase,
}

impl PostgresDatabase {
    /// An empty one; `None` when there is no server.
    pub async fn available(setup: Setup) -> Option<Self> {
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
        Arc::new(PgSettlementStore::new(&self.db))
    }
    fn index(&self) -> Arc<dyn ChainIndex> {
        Arc::new(PgChainIndex::new(&self.db))
    }
    fn treasury(&self) -> Arc<dyn TreasuryStore> {
        Arc::new(PgTreasuryStore::new(&self.db))
    }
    fn usage(&self) -> Arc<dyn UsageStore> {
        Arc::new(PgUsageStore::new(&self.db))
    }
    fn earnings(&self) -> Arc<dyn EarningsStore> {
        Arc::new(PgEarningsStore::new(&self.db))
    }
    fn outbox(&self) -> Arc<dyn TxOutbox> {
        Arc::new(PgTxOutbox::new(&self.db))
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
        Arc::new(PgChainStats::new(&self.db))
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
