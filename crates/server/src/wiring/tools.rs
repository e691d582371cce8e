//! Parts for commands that do not serve.

use super::{
    DatabaseError, WiringError, catalogue, chain::evm_config, database, knowledge, secrets::Secrets,
};
use crate::{Config, service::system::SystemClock};
use haithe_billing::{
    audit::{AuditReport, ReceiptAudit},
    chain::Depths,
    check::{CheckError, LedgerCheck},
    ledger::LedgerSnapshot,
    ports::ChainReader,
    verify::ReceiptVerifier,
};
use haithe_evm::{ChainClient, ConnectError, EvmChainReader, EvmConfig, EvmSettler, RpcLimits};
use haithe_identity::revocation::{self, RevokedBefore};
use haithe_kernel::{Clock, Decimals, OrgId, Timestamp, WalletAddress};
use haithe_stores::ReadOnlyStores;
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
    Open(#[from] DatabaseError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Check(#[from] CheckError),
}

/// Brings the database to this program's version.
pub(crate) async fn migrate(config: &Config) -> Result<(), WiringError> {
    let secrets = Secrets::parse(config)?;
    let stores = database::open_database(config, &secrets.encryption, Arc::new(SystemClock)).await?;
    Ok(stores.database.close().await?)
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
    let secrets = Secrets::parse(config)?;
    let stores = database::open_database(config, &secrets.encryption, clock.clone()).await?;
    let (keys, sessions) = (&*stores.api_keys, &*stores.sessions);
    let revoked = revocation::revoke_before(keys, sessions, before, clock.now()).await;
    stores.database.close().await?;
    Ok(revoked?)
}

async fn read_only(config: &Config) -> Result<ReadOnlyStores, DatabaseError> {
    database::open_read_only(config, Arc::new(SystemClock)).await
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
    let snapshot = read_only(config).await?.books.snapshot().await;
    Ok(snapshot.map_err(CheckError::from)?)
}

/// The check of the ledger, also beside a running server.
pub(crate) async fn ledger_check(config: &Config) -> Result<LedgerCheck, AuditError> {
    let chain = &config.chain;
    Ok(LedgerCheck::new(
        read_only(config).await?.books,
        reader(config)?,
        chain.orchestrator,
        chain.decimals,
    ))
}

/// The audit of an organization; `None` when there is none of this number.
pub(crate) async fn receipt_audit(config: &Config, org: OrgId) -> Result<Option<AuditReport>, AuditError> {
    let books = read_only(config).await?.books;
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
