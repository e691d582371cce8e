//! The factory: every port on one PostgreSQL database.

use crate::{
    Db, OpenError, PgAcceptedProjectStore, PgApiKeyStore, PgAuditStore, PgBooks, PgBotStore, PgChainIndex,
    PgChainStats, PgChallengeStore, PgConfig, PgContentStore, PgConversationStore, PgCreatorStore,
    PgDirectory, PgEarningsStore, PgIdempotencyStore, PgInstance, PgLedger, PgOrgMemberStore,
    PgOrgModelStore, PgOrgSettingsStore, PgOrgStore, PgProductStore, PgProjectStore, PgRoleStore,
    PgSessionStore, PgSettlementStore, PgStandingStore, PgTreasuryStore, PgTxOutbox, PgUsageStore,
    PgWaitlist, PgWebhookInbox, PgWebhookStore, control::OpenDatabase,
};
use haithe_encryption::EncryptionKey;
use haithe_stores::{BackgroundStores, PublicStores, ReadOnlyStores, Stores};
use std::sync::Arc;

/// Opens the database ([`Db::open`]) and registers this process as one of its instances. What is stored and must be
/// read again is sealed under `key`.
///
/// # Errors
/// [`OpenError`], whose text says what to do.
pub async fn open(config: &PgConfig, key: &EncryptionKey) -> Result<Stores, OpenError> {
    let db = Db::open(config).await?;
    let instance = PgInstance::start(&db).await.map_err(OpenError::Store)?;
    Ok(stores(&db, &instance, key))
}

/// Opens the database for reading only, also beside running servers ([`Db::open_read_only`]).
///
/// # Errors
/// [`OpenError`], whose text says what to do.
pub async fn open_read_only(config: &PgConfig) -> Result<ReadOnlyStores, OpenError> {
    let db = Db::open_read_only(config).await?;
    Ok(ReadOnlyStores {
        books: Arc::new(PgBooks::new(&db)),
    })
}

/// The ports of an open database, for this process as that instance.
pub fn stores(db: &Db, instance: &PgInstance, key: &EncryptionKey) -> Stores {
    let ledger = PgLedger::start(db, instance);
    Stores {
        challenges: Arc::new(PgChallengeStore::new(db)),
        sessions: Arc::new(PgSessionStore::new(db)),
        api_keys: Arc::new(PgApiKeyStore::new(db)),
        idempotency: Arc::new(PgIdempotencyStore::new(db, key)),
        orgs: Arc::new(PgOrgStore::new(db)),
        standings: Arc::new(PgStandingStore::new(db)),
        org_members: Arc::new(PgOrgMemberStore::new(db)),
        org_models: Arc::new(PgOrgModelStore::new(db)),
        org_settings: Arc::new(PgOrgSettingsStore::new(db)),
        projects: Arc::new(PgProjectStore::new(db)),
        accepted_projects: Arc::new(PgAcceptedProjectStore::new(db)),
        bots: Arc::new(PgBotStore::new(db, key)),
        audit: Arc::new(PgAuditStore::new(db)),
        directory: Arc::new(PgDirectory::new(db)),
        ledger: Arc::new(ledger.clone()),
        books: Arc::new(PgBooks::new(db)),
        treasury: Arc::new(PgTreasuryStore::new(db)),
        usage: Arc::new(PgUsageStore::new(db)),
        earnings: Arc::new(PgEarningsStore::new(db)),
        creators: Arc::new(PgCreatorStore::new(db)),
        products: Arc::new(PgProductStore::new(db)),
        contents: Arc::new(PgContentStore::new(db)),
        conversations: Arc::new(PgConversationStore::new(db)),
        webhooks: Arc::new(PgWebhookStore::new(db, key)),
        webhook_inbox: Arc::new(PgWebhookInbox::new(db, key)),
        public: public(&db.for_public(), key),
        background: background(&db.for_background(), key),
        database: Arc::new(OpenDatabase {
            db: db.clone(),
            instance: instance.clone(),
            ledger,
        }),
    }
}

fn public(db: &Db, key: &EncryptionKey) -> PublicStores {
    PublicStores {
        creators: Arc::new(PgCreatorStore::new(db)),
        products: Arc::new(PgProductStore::new(db)),
        contents: Arc::new(PgContentStore::new(db)),
        webhooks: Arc::new(PgWebhookStore::new(db, key)),
        waitlist: Arc::new(PgWaitlist::new(db)),
        index: Arc::new(PgChainIndex::new(db)),
        chain_stats: Arc::new(PgChainStats::new(db)),
    }
}

fn background(db: &Db, key: &EncryptionKey) -> BackgroundStores {
    BackgroundStores {
        index: Arc::new(PgChainIndex::new(db)),
        outbox: Arc::new(PgTxOutbox::new(db)),
        roles: Arc::new(PgRoleStore::new(db)),
        settlements: Arc::new(PgSettlementStore::new(db)),
        books: Arc::new(PgBooks::new(db)),
        creators: Arc::new(PgCreatorStore::new(db)),
        contents: Arc::new(PgContentStore::new(db)),
        conversations: Arc::new(PgConversationStore::new(db)),
        webhook_inbox: Arc::new(PgWebhookInbox::new(db, key)),
    }
}
