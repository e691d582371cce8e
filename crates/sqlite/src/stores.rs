//! The factory: every port on one SQLite file.

use crate::{
    Db, DbConfig, OpenError, ReadOnlyDb, SqliteAcceptedProjectStore, SqliteApiKeyStore, SqliteAuditStore,
    SqliteBooks, SqliteBotStore, SqliteChainIndex, SqliteChainStats, SqliteChallengeStore,
    SqliteContentStore, SqliteConversationStore, SqliteCreatorStore, SqliteDirectory, SqliteEarningsStore,
    SqliteIdempotencyStore, SqliteLedger, SqliteOrgStore, SqliteProductStore, SqliteProjectStore,
    SqliteRoleStore, SqliteSessionStore, SqliteSettlementStore, SqliteTreasuryStore, SqliteTxOutbox,
    SqliteUsageStore, SqliteWaitlist, SqliteWebhookInbox, SqliteWebhookStore,
};
use haithe_encryption::EncryptionKey;
use haithe_kernel::Clock;
use haithe_stores::{BackgroundStores, PublicStores, ReadOnlyStores, Stores};
use std::{path::PathBuf, sync::Arc};

/// Opens the database for the one process that writes to it ([`Db::open`]). What is stored and must be read
/// again is sealed under `key`.
///
/// # Errors
/// [`OpenError`], whose text says what to do.
pub async fn open(config: DbConfig, key: &EncryptionKey) -> Result<Stores, OpenError> {
    Ok(stores(&Db::open(config).await?, key))
}

/// Opens the database for reading only, also while a server has it open ([`ReadOnlyDb::open`]).
///
/// # Errors
/// [`OpenError`], whose text says what to do.
pub async fn open_read_only(
    path: impl Into<PathBuf>,
    clock: Arc<dyn Clock>,
) -> Result<ReadOnlyStores, OpenError> {
    let db = ReadOnlyDb::open(path, clock).await?;
    Ok(ReadOnlyStores {
        books: Arc::new(SqliteBooks::new(&db)),
    })
}

/// The ports of an open database.
pub fn stores(db: &Db, key: &EncryptionKey) -> Stores {
    let orgs = Arc::new(SqliteOrgStore::new(db));
    Stores {
        challenges: Arc::new(SqliteChallengeStore::new(db)),
        sessions: Arc::new(SqliteSessionStore::new(db)),
        api_keys: Arc::new(SqliteApiKeyStore::new(db)),
        idempotency: Arc::new(SqliteIdempotencyStore::new(db, key)),
        orgs: orgs.clone(),
        standings: orgs.clone(),
        org_members: orgs.clone(),
        org_models: orgs.clone(),
        org_settings: orgs,
        projects: Arc::new(SqliteProjectStore::new(db)),
        accepted_projects: Arc::new(SqliteAcceptedProjectStore::new(db)),
        bots: Arc::new(SqliteBotStore::new(db, key)),
        audit: Arc::new(SqliteAuditStore::new(db)),
        directory: Arc::new(SqliteDirectory::new(db)),
        ledger: Arc::new(SqliteLedger::new(db)),
        books: Arc::new(SqliteBooks::new(&db.read_only())),
        treasury: Arc::new(SqliteTreasuryStore::new(db)),
        usage: Arc::new(SqliteUsageStore::new(db)),
        earnings: Arc::new(SqliteEarningsStore::new(db)),
        creators: Arc::new(SqliteCreatorStore::new(db)),
        products: Arc::new(SqliteProductStore::new(db)),
        contents: Arc::new(SqliteContentStore::new(db)),
        conversations: Arc::new(SqliteConversationStore::new(db)),
        webhooks: Arc::new(SqliteWebhookStore::new(db, key)),
        webhook_inbox: Arc::new(SqliteWebhookInbox::new(db, key)),
        public: public(&db.for_public(), key),
        background: background(&db.for_background(), key),
        database: Arc::new(db.clone()),
    }
}

fn public(db: &Db, key: &EncryptionKey) -> PublicStores {
    PublicStores {
        creators: Arc::new(SqliteCreatorStore::new(db)),
        products: Arc::new(SqliteProductStore::new(db)),
        contents: Arc::new(SqliteContentStore::new(db)),
        webhooks: Arc::new(SqliteWebhookStore::new(db, key)),
        waitlist: Arc::new(SqliteWaitlist::new(db)),
        index: Arc::new(SqliteChainIndex::new(db)),
        chain_stats: Arc::new(SqliteChainStats::new(db)),
    }
}

fn background(db: &Db, key: &EncryptionKey) -> BackgroundStores {
    BackgroundStores {
        index: Arc::new(SqliteChainIndex::new(db)),
        outbox: Arc::new(SqliteTxOutbox::new(db)),
        roles: Arc::new(SqliteRoleStore::new(db)),
        settlements: Arc::new(SqliteSettlementStore::new(db)),
        books: Arc::new(SqliteBooks::new(&db.read_only())),
        creators: Arc::new(SqliteCreatorStore::new(db)),
        contents: Arc::new(SqliteContentStore::new(db)),
        conversations: Arc::new(SqliteConversationStore::new(db)),
        webhook_inbox: Arc::new(SqliteWebhookInbox::new(db, key)),
    }
}
