//! The chain's side: client, index, sender, settlement, and their background tasks.

mod index;
mod safeguards;
mod tasks;

use super::{Base, WiringError};
use crate::{
    Config,
    service::{
        ledger_watch::LedgerWatch, metrics::SenderFigures, safeguards::Safeguards, supervisor::describe,
    },
};
use haithe_billing::{
    batch::SealPolicy,
    chain::Depths,
    check::LedgerCheck,
    faucet::Faucet,
    gate::SettlementGate,
    indexer::{Indexer, IndexerConfig},
    ports::{ChainIndex, ChainReader, CreatorTransactions, TxOutbox},
    settlement::Settlement,
};
use haithe_evm::{
    ChainClient, ConnectError, EvmChainReader, EvmConfig, EvmContractWallets, EvmCreatorRegistrar,
    EvmCreatorTransactions, EvmFaucet, EvmOrgDeployer, EvmRoleMirror, EvmSettler, GWEI, Lane, Node,
    RoleBudget, RpcLimits, SendPolicy, Sender, SenderHandle, ServerKey, SponsorBudget,
};
use haithe_identity::ports::ContractWallets;
use haithe_kernel::{Clock, WalletAddress};
use haithe_marketplace::ports::CreatorRegistrar;
use haithe_orgs::{
    RoleMirroring,
    ports::{ChainSync, OrgDeployer},
};
use index::{CatchUp, IndexLoop};
use safeguards::{SafeguardWatch, SettlingKey};
use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};
use tasks::{check, mirror_roles, send, settle};

/// Blocks asked for at once, at most.
const RANGE: u64 = 2_000;
/// Blocks remembered beyond finality, for recognising a reorganization.
const REMEMBERED: u64 = 256;
/// Longest pause after failures in a row.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long the start waits for the chain before it goes on without.
const FIRST_CONTACT: Duration = Duration::from_secs(3);
/// Batches whose coin is never spent on other wallets' transactions.
const RESERVED_BATCHES: u128 = 50;

/// What the rest of the service needs of the chain.
pub(super) struct Chain {
    pub deployer: Arc<dyn OrgDeployer>,
    pub registrar: Arc<dyn CreatorRegistrar>,
    pub sync: Arc<dyn ChainSync>,
    pub wallets: Arc<dyn ContractWallets>,
    pub index: Arc<dyn ChainIndex>,
    pub gate: Arc<SettlementGate>,
    /// What creators sign to be paid.
    pub payouts: Arc<dyn CreatorTransactions>,
    /// How the sender of transactions does.
    pub sender: Arc<dyn Fn() -> SenderFigures + Send + Sync>,
    /// Who settles.
    pub signer: WalletAddress,
    /// Where the configuration wants one.
    pub faucet: Option<Arc<Faucet>>,
    /// The payment token, once the chain has said.
    pub token: Arc<OnceLock<WalletAddress>>,
    /// Safeguards that the deployment lacks.
    pub safeguards: Arc<Safeguards>,
    /// The comparison of the ledger with the chain.
    pub ledger_watch: Arc<LedgerWatch>,
}

impl Chain {
    /// Connects and starts the indexer, the sender, settlement and the ledger's check. A chain that
    /// cannot be reached delays deposits and settlement, not the start; one that is not what the
    /// configuration says stops it.
    pub async fn start(base: &Base<'_>, node: Option<Node>) -> Result<Self, WiringError> {
        let (config, clock, supervisor) = (base.config, base.clock, base.supervisor);
        // What follows the chain and what settles reads beside paid calls, not among them.
        let stores = &base.stores.background;
        let key = ServerKey::parse(&config.chain.server_key)?;
        let signer = key.address();
        let evm = evm_config(config);
        let client = match node {
            Some(node) => ChainClient::on(node, &evm),
            None => ChainClient::new(&evm)?,
        };
        let token = Arc::new(OnceLock::new());
        let delay = first_contact(&client, &token).await?;
        let gate = Arc::new(SettlementGate::new(clock.clone(), Duration::ZERO));
        let policy = seal_policy(config, &client).await;
        let reader: Arc<dyn ChainReader> = Arc::new(EvmChainReader::new(client.clone()));
        let index = stores.index.clone();
        let outbox = stores.outbox.clone();

        let indexer = Arc::new(Indexer::new(
            reader.clone(),
            index.clone(),
            clock.clone(),
            gate.clone(),
            IndexerConfig {
                start: config.chain.start_block,
                depths: evm.depths,
                range: RANGE,
                remembered: u32::try_from(evm.depths.finality + REMEMBERED).unwrap_or(u32::MAX),
            },
        ));
        indexer.bind(config.chain.id, config.chain.orchestrator).await?;
        resume_gate(&gate, &*index, delay).await?;
        let sync = Arc::new(CatchUp::default());
        let loop_ = IndexLoop {
            client: client.clone(),
            token: token.clone(),
            indexer,
            sync: sync.clone(),
            poll: config.chain.poll,
        };
        supervisor.run("indexer", move |stop| loop_.clone().run(stop));

        let safeguards = Arc::new(Safeguards::default());
        let watch = SafeguardWatch::new(
            client.clone(),
            gate.clone(),
            index.clone(),
            config,
            safeguards.clone(),
            SettlingKey {
                signer,
                conditions: base.conditions.clone(),
            },
        );
        supervisor.run("safeguards", move |stop| watch.clone().run(stop));

        let sender = sender(config, &client, key, &outbox, clock, policy.batch_gas);
        let handle = sender.handle();
        let watched = handle.clone();
        let sender = Arc::new(Mutex::new(Some(sender)));
        supervisor.run("sender", move |stop| send(sender.clone(), stop));

        let mirror = EvmRoleMirror::new(
            outbox.clone(),
            handle.clone(),
            signer,
            clock.clone(),
            RoleBudget {
                per_wallet: config.chain.role_changes_per_wallet,
                global: config.chain.role_changes_in_all,
            },
        );
        let roles = RoleMirroring::new(stores.roles.clone(), Arc::new(mirror));
        let (roles, poll) = (Arc::new(roles), config.chain.poll);
        supervisor.run("roles", move |stop| mirror_roles(roles.clone(), poll, stop));

        let settler = EvmSettler::new(
            client.clone(),
            outbox.clone(),
            handle.clone(),
            signer,
            clock.clone(),
            policy.batch_gas,
        );
        let settlement = Arc::new(Settlement::new(
            stores.settlements.clone(),
            Arc::new(settler),
            clock.clone(),
            gate.clone(),
            policy,
        ));
        settlement.resume().await?;
        let (poll, conditions) = (config.settlement.poll, base.conditions.clone());
        supervisor.run("settlement", move |stop| {
            settle(settlement.clone(), poll, conditions.clone(), stop)
        });
        let ledger = Arc::new(LedgerCheck::new(
            stores.books.clone(),
            reader,
            config.chain.orchestrator,
            config.chain.decimals,
        ));
        let ledger_watch = Arc::new(LedgerWatch::new(config.settlement.check_alarm));
        let (every, watched_check) = (config.settlement.check_every, ledger_watch.clone());
        supervisor.run("ledger-check", move |stop| {
            check(ledger.clone(), watched_check.clone(), every, stop)
        });

        let sponsored = SponsorBudget {
            enabled: config.chain.sponsors(),
            per_network: config.chain.sponsored_per_network,
            reserve: settlement_reserve(config),
            ..SponsorBudget::default()
        };
        let registrar = EvmCreatorRegistrar::new(
            client.clone(),
            outbox.clone(),
            handle.clone(),
            signer,
            clock.clone(),
            SponsorBudget {
                // A wallet registers once; a transaction that failed may be tried again.
                per_wallet: 3,
                global: config.chain.registrations_in_all,
                ..sponsored
            },
        );
        let faucet = config.chain.faucet.then(|| {
            let tokens = EvmFaucet::new(
                client.clone(),
                outbox.clone(),
                handle.clone(),
                signer,
                clock.clone(),
                SponsorBudget {
                    // The faucet has a switch of its own.
                    enabled: true,
                    per_wallet: config.chain.faucet_grants_per_wallet,
                    per_network: config.chain.faucet_grants_per_network,
                    global: config.chain.faucet_grants_in_all,
                    ..sponsored
                },
            );
            Arc::new(Faucet::new(Arc::new(tokens)))
        });
        Ok(Self {
            faucet,
            registrar: Arc::new(registrar),
            deployer: Arc::new(EvmOrgDeployer::new(
                client.clone(),
                outbox,
                handle,
                signer,
                clock.clone(),
                SponsorBudget {
                    per_wallet: config.chain.deployments_per_wallet,
                    global: config.chain.deployments_in_all,
                    ..sponsored
                },
            )),
            sync,
            payouts: Arc::new(EvmCreatorTransactions::new(client.clone())),
            wallets: Arc::new(EvmContractWallets::new(client)),
            index,
            gate,
            signer,
            sender: Arc::new(move || sender_figures(&watched)),
            safeguards,
            ledger_watch,
            token,
        })
    }
}

/// The adapter's configuration.
pub(crate) fn evm_config(config: &Config) -> EvmConfig {
    let chain = &config.chain;
    EvmConfig {
        rpc_url: chain.rpc_url.clone(),
        chain_id: chain.id,
        orchestrator: chain.orchestrator,
        decimals: chain.decimals,
        depths: Depths {
            confirmations: chain.confirmations,
            finality: chain.finality,
        },
        limits: RpcLimits {
            timeout: chain.rpc_timeout,
            ..RpcLimits::default()
        },
    }
}

/// The wei that the server keeps for settlement: what [`RESERVED_BATCHES`] batches cost at the highest fee
/// that is ever offered.
fn settlement_reserve(config: &Config) -> u128 {
    let fee = u128::from(config.chain.max_fee_gwei) * GWEI;
    fee.saturating_mul(u128::from(config.chain.batch_gas))
        .saturating_mul(RESERVED_BATCHES)
}

fn sender_figures(sender: &SenderHandle) -> SenderFigures {
    let health = sender.health();
    SenderFigures {
        queued: health.queued,
        in_flight: health.in_flight,
        mined: health.mined,
        alarms: health.alarms.len(),
        halted: health.halted,
        failures: health.failures,
        oldest: health.oldest,
    }
}

/// The bounds of batches. The gas bound is lowered to what the chain and the node allow one call,
/// where they show it.
async fn seal_policy(config: &Config, client: &ChainClient) -> SealPolicy {
    let policy = config.seal_policy();
    let ceiling = tokio::time::timeout(FIRST_CONTACT, client.gas_ceiling()).await;
    let Ok(Some(ceiling)) = ceiling else {
        return policy;
    };
    if ceiling < policy.batch_gas {
        tracing::warn!(
            ceiling,
            batch_gas = policy.batch_gas,
            "the node allows one call less gas than chain.batch_gas: settlement batches are smaller"
        );
    }
    SealPolicy {
        batch_gas: policy.batch_gas.min(ceiling),
        ..policy
    }
}

fn sender(
    config: &Config,
    client: &ChainClient,
    key: ServerKey,
    outbox: &Arc<dyn TxOutbox>,
    clock: &Arc<dyn Clock>,
    batch_gas: u64,
) -> Sender {
    let lane = Lane {
        node: client.node().clone(),
        chain_id: config.chain.id,
        key,
        finality: config.chain.finality,
        policy: SendPolicy {
            max_fee_ceiling: u128::from(config.chain.max_fee_gwei) * GWEI,
            poll: config.chain.poll,
            batch_gas,
            gas_cap: SendPolicy::default().gas_cap.max(batch_gas),
            ..SendPolicy::default()
        },
    };
    Sender::new(lane, outbox.clone(), clock.clone())
}

/// Checks the contracts and gives their withdrawal delay; `None` while the chain is away.
async fn first_contact(
    client: &ChainClient,
    token: &OnceLock<WalletAddress>,
) -> Result<Option<Duration>, WiringError> {
    let asked = async {
        let address = client.check().await?;
        Ok::<_, ConnectError>((address, client.withdrawal_delay().await?))
    };
    match tokio::time::timeout(FIRST_CONTACT, asked).await {
        Ok(Ok((address, delay))) => {
            let _ = token.set(address);
            Ok(Some(delay))
        }
        Ok(Err(error)) if !error.is_outage() => Err(error.into()),
        Ok(Err(error)) => {
            tracing::warn!(
                error = describe(&error),
                "the chain cannot be reached; deposits and settlement wait for it"
            );
            Ok(None)
        }
        Err(_) => {
            tracing::warn!("the chain does not answer; deposits and settlement wait for it");
            Ok(None)
        }
    }
}

/// The gate goes on where the last process left it: the index is as old as its last block, and the
/// withdrawal delay is the contracts', which are asked or were asked before. A database that never
/// reached its chain keeps the gate closed until it does.
async fn resume_gate(
    gate: &SettlementGate,
    index: &dyn ChainIndex,
    asked: Option<Duration>,
) -> Result<(), WiringError> {
    let delay = match asked {
        Some(delay) => {
            index.record_withdrawal_delay(delay).await?;
            Some(delay)
        }
        None => index.withdrawal_delay().await?,
    };
    gate.set_withdrawal_delay(delay.unwrap_or_default());
    if let Some(checkpoint) = index.checkpoint().await? {
        gate.indexed_through(checkpoint.time);
    }
    Ok(())
}

/// A pause that doubles with every failure in a row.
fn backed_off(pause: Duration, failures: u32) -> Duration {
    LONGEST_PAUSE.min(pause.saturating_mul(2u32.saturating_pow(failures.min(16))))
}
