//! Parts for commands that do not serve.

use super::{WiringError, catalogue, chain::evm_config, knowledge};
use crate::{Config, service::system::SystemClock};
use haithe_billing::{
    audit::{AuditReport, ReceiptAudit},
    chain::Depths,
    check::{CheckError, LedgerCheck},
    ledger::LedgerSnapshot,
    ports::{Books, ChainReader},
    verify::ReceiptVerifier,
};
use haithe_evm::{ChainClient, ConnectError, EvmChainReader, EvmConfig, EvmSettler, RpcLimits};
use haithe_identity::revocation::{self, RevokedBefore};
use haithe_kernel::{Clock, Decimals, OrgId, Timestamp, WalletAddress};
use haithe_sqlite::{
    Db, DbConfig, OpenError, ReadOnlyDb, SqliteApiKeyStore, SqliteBooks, SqliteSessionStore,
};
use secrecy::SecretString;
use std::sync::Arc;

/// Blocks asked for at once, at most.
const RANGE: u64 = 2_000;

/// How many models there are.
pub(crate) struct ModelCounts {
    pub all: usize,
    pub active: usize,
}

/// Why an audit could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Check(#[from] CheckError),
}

/// Opens the database for writing, which migrates it.
pub(crate) async fn open_database(config: &Config, clock: Arc<dyn Clock>) -> Result<Db, OpenError> {
    Db::open(DbConfig {
        path: config.database.path.clone(),
        decimals: config.chain.decimals,
        clock,
    })
    .await
}

/// Reads the catalogue and sets its providers up, the embedder among them, as a start would.
pub(crate) fn check_catalogue(config: &Config) -> Result<ModelCounts, WiringError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let offer = catalogue::load(config, &clock)?;
    knowledge::embedder(&config.embeddings, &offer)?;
    let models = offer.catalogue.models();
    Ok(ModelCounts {
        all: models.len(),
        active: models.iter().filter(|model| model.active).count(),
    })
}

/// Revokes every API key and session that was issued before this time.
pub(crate) async fn revoke_before(config: &Config, before: Timestamp) -> Result<RevokedBefore, WiringError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let db = open_database(config, clock.clone()).await?;
    let (keys, sessions) = (SqliteApiKeyStore::new(&db), SqliteSessionStore::new(&db));
    let revoked = revocation::revoke_before(&keys, &sessions, before, clock.now()).await;
    db.close().await?;
    Ok(revoked?)
}

async fn books(config: &Config) -> Result<Arc<dyn Books>, OpenError> {
    let db = ReadOnlyDb::open(&config.database.path, Arc::new(SystemClock)).await?;
    Ok(Arc::new(SqliteBooks::new(&db)))
}

/// The contracts of the configuration's chain.
pub(crate) fn chain_client(config: &Config) -> Result<ChainClient, ConnectError> {
    ChainClient::new(&evm_config(config))
}

fn reader(config: &Config) -> Result<Arc<dyn ChainReader>, ConnectError> {
    Ok(Arc::new(EvmChainReader::new(chain_client(config)?)))
}

/// The whole ledger, also beside a running server.
pub(crate) async fn ledger_snapshot(config: &Config) -> Result<LedgerSnapshot, AuditError> {
    let snapshot = books(config).await?.snapshot().await;
    Ok(snapshot.map_err(CheckError::from)?)
}

/// The check of the ledger, also beside a running server.
pub(crate) async fn ledger_check(config: &Config) -> Result<LedgerCheck, AuditError> {
    let chain = &config.chain;
    Ok(LedgerCheck::new(
        books(config).await?,
        reader(config)?,
        chain.orchestrator,
        chain.decimals,
    ))
}

/// The audit of an organization; `None` when there is none of this number.
pub(crate) async fn receipt_audit(config: &Config, org: OrgId) -> Result<Option<AuditReport>, AuditError> {
    let books = books(config).await?;
    let snapshot = books.snapshot().await.map_err(CheckError::from)?;
    let Some(position) = snapshot.orgs.iter().find(|position| position.org == org) else {
        return Ok(None);
    };
    let chain = &config.chain;
    let audit = ReceiptAudit::new(books, reader(config)?, chain.start_block, RANGE, chain.decimals)
        .with_min_credit(config.settlement.min_credit);
    Ok(Some(audit.run(org, position.address).await?))
}

/// Verifies receipts with nothing but a chain.
pub(crate) fn receipt_verifier(
    rpc_url: &SecretString,
    chain_id: u64,
    orchestrator: WalletAddress,
    decimals: Decimals,
) -> Result<ReceiptVerifier, ConnectError> {
    let client = ChainClient::new(&EvmConfig {
        rpc_url: rpc_url.clone(),
        chain_id,
        orchestrator,
        decimals,
        depths: Depths {
            confirmations: 1,
            finality: 1,
        },
        limits: RpcLimits::default(),
    })?;
    let settler = Arc::new(EvmSettler::reading(client));
    Ok(ReceiptVerifier::new(settler, chain_id, orchestrator))
}
