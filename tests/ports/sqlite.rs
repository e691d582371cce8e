//! SQLite, as the suites see it: a file of its own, opened again at will.

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
use haithe_sqlite::{
    Db, DbConfig, SqliteAcceptedProjectStore, SqliteApiKeyStore, SqliteAuditStore, SqliteBooks,
    SqliteBotStore, SqliteChainIndex, SqliteChainStats, SqliteChallengeStore, SqliteContentStore,
    SqliteConversationStore, SqliteCreatorStore, SqliteDirectory, SqliteEarningsStore,
    SqliteIdempotencyStore, SqliteLedger, SqliteOrgStore, SqliteProductStore, SqliteProjectStore,
    SqliteRoleStore, SqliteSessionStore, SqliteSettlementStore, SqliteTreasuryStore, SqliteTxOutbox,
    SqliteUsageStore, SqliteWaitlist, SqliteWebhookInbox, SqliteWebhookStore,
};
use secrecy::SecretString;
use std::sync::Arc;
use tempfile::TempDir;

fn key_of(byte: u8) -> EncryptionKey {
    let digits = SecretString::from(hex::encode([byte; 32]));
    EncryptionKey::parse(&digits).unwrap()
}

fn encryption_key() -> EncryptionKey {
    EncryptionKey::parse(&SecretString::from("7e".repeat(32))).unwrap()
}

pub struct SqliteDatabase {
    db: Db,
    setup: Setup,
    dir: TempDir,
}

impl SqliteDatabase {
    async fn at(dir: TempDir, setup: Setup) -> Self {
        let config = DbConfig {
            path: dir.path().join("haithe.db"),
            decimals: setup.decimals,
            clock: setup.clock.clone(),
        };
        let db = Db::open(config).await.unwrap();
        Self { db, setup, dir }
    }
}

impl Database for SqliteDatabase {
    async fn open(setup: Setup) -> Self {
        Self::at(tempfile::tempdir().unwrap(), setup).await
    }

    async fn reopened(self) -> Self {
        self.db.close().await.unwrap();
        Self::at(self.dir, self.setup).await
    }

    fn setup(&self) -> &Setup {
        &self.setup
    }
    fn challenges(&self) -> Arc<dyn ChallengeStore> {
        Arc::new(SqliteChallengeStore::new(&self.db))
    }
    fn sessions(&self) -> Arc<dyn SessionStore> {
        Arc::new(SqliteSessionStore::new(&self.db))
    }
    fn api_keys(&self) -> Arc<dyn ApiKeyStore> {
        Arc::new(SqliteApiKeyStore::new(&self.db))
    }
    fn idempotency(&self) -> Arc<dyn IdempotencyStore> {
        self.idempotency_under(7)
    }
    fn idempotency_under(&self, byte: u8) -> Arc<dyn IdempotencyStore> {
        Arc::new(SqliteIdempotencyStore::new(&self.db, &key_of(byte)))
    }
    fn orgs(&self) -> Arc<dyn OrgStore> {
        Arc::new(SqliteOrgStore::new(&self.db))
    }
    fn standings(&self) -> Arc<dyn StandingStore> {
        Arc::new(SqliteOrgStore::new(&self.db))
    }
    fn org_members(&self) -> Arc<dyn OrgMemberStore> {
        Arc::new(SqliteOrgStore::new(&self.db))
    }
    fn org_models(&self) -> Arc<dyn OrgModelStore> {
        Arc::new(SqliteOrgStore::new(&self.db))
    }
    fn org_settings(&self) -> Arc<dyn OrgSettingsStore> {
        Arc::new(SqliteOrgStore::new(&self.db))
    }
    fn projects(&self) -> Arc<dyn ProjectStore> {
        Arc::new(SqliteProjectStore::new(&self.db))
    }
    fn accepted_projects(&self) -> Arc<dyn AcceptedProjectStore> {
        Arc::new(SqliteAcceptedProjectStore::new(&self.db))
    }
    fn bots(&self) -> Arc<dyn BotStore> {
        Arc::new(SqliteBotStore::new(&self.db, &encryption_key()))
    }
    fn roles(&self) -> Arc<dyn RoleStore> {
        Arc::new(SqliteRoleStore::new(&self.db))
    }
    fn audit(&self) -> Arc<dyn AuditStore> {
        Arc::new(SqliteAuditStore::new(&self.db))
    }
    fn directory(&self) -> Arc<dyn Directory> {
        Arc::new(SqliteDirectory::new(&self.db))
    }
    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(SqliteLedger::new(&self.db))
    }
    fn books(&self) -> Arc<dyn Books> {
        Arc::new(SqliteBooks::new(&self.db.read_only()))
    }
    fn settlements(&self) -> Arc<dyn SettlementStore> {
        Arc::new(SqliteSettlementStore::new(&self.db))
    }
    fn index(&self) -> Arc<dyn ChainIndex> {
        Arc::new(SqliteChainIndex::new(&self.db))
    }
    fn treasury(&self) -> Arc<dyn TreasuryStore> {
        Arc::new(SqliteTreasuryStore::new(&self.db))
    }
    fn usage(&self) -> Arc<dyn UsageStore> {
        Arc::new(SqliteUsageStore::new(&self.db))
    }
    fn earnings(&self) -> Arc<dyn EarningsStore> {
        Arc::new(SqliteEarningsStore::new(&self.db))
    }
    fn outbox(&self) -> Arc<dyn TxOutbox> {
        Arc::new(SqliteTxOutbox::new(&self.db))
    }
    fn conversations(&self) -> Arc<dyn ConversationStore> {
        Arc::new(SqliteConversationStore::new(&self.db))
    }
    fn creators(&self) -> Arc<dyn CreatorStore> {
        Arc::new(SqliteCreatorStore::new(&self.db))
    }
    fn products(&self) -> Arc<dyn ProductStore> {
        Arc::new(SqliteProductStore::new(&self.db))
    }
    fn waitlist(&self) -> Arc<dyn Waitlist> {
        Arc::new(SqliteWaitlist::new(&self.db))
    }
    fn chain_stats(&self) -> Arc<dyn ChainStats> {
        Arc::new(SqliteChainStats::new(&self.db))
    }
    fn webhooks(&self) -> Arc<dyn WebhookStore> {
        Arc::new(SqliteWebhookStore::new(&self.db, &encryption_key()))
    }
    fn webhooks_under(&self, byte: u8) -> Arc<dyn WebhookStore> {
        Arc::new(SqliteWebhookStore::new(&self.db, &key_of(byte)))
    }
    fn webhook_inbox(&self) -> Arc<dyn WebhookInbox> {
        Arc::new(SqliteWebhookInbox::new(&self.db, &encryption_key()))
    }
    fn webhook_inbox_under(&self, byte: u8) -> Arc<dyn WebhookInbox> {
        Arc::new(SqliteWebhookInbox::new(&self.db, &key_of(byte)))
    }
    fn contents(&self) -> Arc<dyn ContentStore> {
        Arc::new(SqliteContentStore::new(&self.db))
    }
}
