//! Settles batches through the outbox.

use crate::{
    again,
    client::ChainClient,
    contracts::{
        HaitheOrchestrator::{self, WrongSequence},
        Settlement,
    },
    convert,
    sender::{SenderHandle, Simulated, understood},
    sign::Unsigned,
};
use alloy::{
    eips::BlockNumberOrTag,
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, U256, aliases::U96, keccak256},
    providers::Provider,
    sol_types::{SolCall, SolError, SolValue},
};
use async_trait::async_trait;
use haithe_billing::{
    batch::{Batch, BatchCredit, BatchLine},
    capture::Payee,
    chain::{ChainError, Hash32},
    outbox::{NewTx, TxPurpose},
    ports::{Settler, Submission, TxOutbox},
};
use haithe_kernel::{Clock, MonotonicTime, TokenUnits, WalletAddress};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How often a batch that waits for its nonce is simulated again.
const SIMULATE_EVERY: Duration = Duration::from_secs(15);

/// [`Settler`] on the orchestrator.
#[derive(Clone)]
pub struct EvmSettler {
    client: ChainClient,
    /// Absent in one that only reads.
    outgoing: Option<Outgoing>,
}

#[derive(Clone)]
struct Outgoing {
    outbox: Arc<dyn TxOutbox>,
    sender: SenderHandle,
    signer: WalletAddress,
    clock: Arc<dyn Clock>,
    /// The gas that a simulation gets: the bound of every batch.
    batch_gas: u64,
    /// The batch that was last simulated, and when.
    simulated: Arc<Mutex<Option<(u64, MonotonicTime)>>>,
}

impl EvmSettler {
    /// `signer` is the server's address, whose [`Sender`](crate::Sender) gave the handle. Every batch
    /// fits into `batch_gas`.
    pub fn new(
        client: ChainClient,
        outbox: Arc<dyn TxOutbox>,
        sender: SenderHandle,
        signer: WalletAddress,
        clock: Arc<dyn Clock>,
        batch_gas: u64,
    ) -> Self {
        Self {
            client,
            outgoing: Some(Outgoing {
                outbox,
                sender,
                signer,
                clock,
                batch_gas,
                simulated: Arc::default(),
            }),
        }
    }

    /// One that answers questions and refuses to submit: for verifying without a server's key.
    pub fn reading(client: ChainClient) -> Self {
        Self {
            client,
            outgoing: None,
        }
    }

    /// Runs the batch that the contract expects next on the newest block. Returns the reason if the
    /// contract refuses it although it accepts another batch. The other batch moves nothing: its only
    /// line belongs to an unknown organization and would be skipped.
    async fn refusal(
        &self,
        outgoing: &Outgoing,
        seq: u64,
        data: Vec<u8>,
    ) -> Result<Option<String>, ChainError> {
        let Some(reason) = self.simulate(outgoing, data).await? else {
            return Ok(None);
        };
        let nothing = HaitheOrchestrator::settleBatchCall {
            seq,
            root: B256::ZERO,
            lines: vec![Settlement::Line {
                org: Address::ZERO,
                platform: U96::ZERO,
                credits: Vec::new(),
            }],
        };
        match self.simulate(outgoing, nothing.abi_encode()).await? {
            Some(_) => Ok(None),
            None => Ok(Some(reason)),
        }
    }

    /// Why the call would fail, unless it is because of its sequence number.
    async fn simulate(&self, outgoing: &Outgoing, data: Vec<u8>) -> Result<Option<String>, ChainError> {
        let call = Unsigned {
            to: Some(convert::address(self.client.orchestrator())),
            data: data.into(),
        };
        let request = call
            .question(convert::address(outgoing.signer))
            .with_gas_limit(outgoing.batch_gas);
        let node = self.client.node();
        let question = node
            .provider()
            .call(request)
            .block(BlockNumberOrTag::Latest.into());
        let Err(error) = node.ask("eth_call", question).await else {
            return Ok(None);
        };
        Ok(match understood(error)? {
            Simulated::Refused { data, .. } if is_out_of_order(&data) => None,
            Simulated::Refused { reason, .. } => Some(reason),
            Simulated::Unclear(answer) => answer.rejection(),
            Simulated::Ready { .. } => None,
        })
    }
}

/// Another batch was settled meanwhile, or the node is behind.
fn is_out_of_order(data: &Bytes) -> bool {
    WrongSequence::abi_decode(data).is_ok()
}

impl Outgoing {
    /// Whether the batch was not simulated within [`SIMULATE_EVERY`].
    fn is_due(&self, seq: u64) -> bool {
        let now = self.clock.monotonic();
        let mut simulated = self.simulated.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = simulated.is_some_and(|(known, at)| known == seq && now.since(at) < SIMULATE_EVERY);
        if !recent {
            *simulated = Some((seq, now));
        }
        !recent
    }
}

#[async_trait]
impl Settler for EvmSettler {
    async fn next_sequence(&self) -> Result<u64, ChainError> {
        let contract = self.client.contract().await?;
        let next = contract.nextBatch();
        Ok(self.client.node().ask("nextBatch()", next.call()).await?)
    }

    /// A batch whose transaction failed for good (it was mined into a pause, say) gets another one
    /// under `retry/2/settle/{seq}` and so on, unless the contract is past it. The sequence number keeps
    /// any two of them from settling twice.
    async fn submit(&self, batch: Batch) -> Result<Submission, ChainError> {
        let Some(outgoing) = &self.outgoing else {
            return Err(ChainError::Refused("this settler only reads".to_owned()));
        };
        let seq = batch.seq;
        let key = format!("settle/{seq}");
        let newest = again::newest(&*outgoing.outbox, &key)
            .await
            .map_err(ChainError::unavailable)?;
        if newest.live().is_some_and(|intent| intent.nonce.is_some()) {
            return Ok(Submission::Queued);
        }
        let data = calldata(&batch, convert::address(self.client.orchestrator()))?;
        let next = self.next_sequence().await?;
        if newest.intent.is_some() && next > seq {
            return Ok(Submission::Queued);
        }
        let is_new = newest.live().is_none();
        if next == seq
            && (outgoing.is_due(seq) || is_new)
            && let Some(reason) = self.refusal(outgoing, seq, data.clone()).await?
        {
            return Ok(Submission::Refused { reason });
        }
        if !is_new {
            return Ok(Submission::Queued);
        }
        let tx = NewTx {
            key,
            purpose: TxPurpose::SettleBatch,
            signer: outgoing.signer,
            to: Some(self.client.orchestrator()),
            data,
            on_behalf: None,
            created_at: outgoing.clock.now(),
        };
        newest
            .enqueue(&*outgoing.outbox, tx)
            .await
            .map_err(ChainError::unavailable)?;
        outgoing.sender.wake();
        Ok(Submission::Queued)
    }

    async fn expected_hash(&self, batch: Batch) -> Result<Hash32, ChainError> {
        let orchestrator = convert::address(self.client.orchestrator());
        let root = convert::hash(batch.root);
        let chain_id = U256::from(self.client.chain_id());
        let whole = (
            chain_id,
            orchestrator,
            batch.seq,
            root,
            lines(&batch, orchestrator)?,
        );
        Ok(keccak256(whole.abi_encode_params()).0)
    }

    async fn settled_hash(&self, seq: u64) -> Result<Option<Hash32>, ChainError> {
        let contract = self.client.contract().await?;
        let stored = contract.batchHash(seq);
        let stored = self.client.node().ask("batchHash()", stored.call()).await?;
        Ok((!stored.is_zero()).then_some(stored.0))
    }

    async fn verify_receipt(
        &self,
        seq: u64,
        line: u32,
        leaf: Hash32,
        proof: Vec<Hash32>,
    ) -> Result<bool, ChainError> {
        let contract = self.client.contract().await?;
        let proof: Vec<B256> = proof.into_iter().map(convert::hash).collect();
        let verify = contract.verifyReceipt(seq, line, convert::hash(leaf), proof);
        Ok(self.client.node().ask("verifyReceipt()", verify.call()).await?)
    }
}

fn calldata(batch: &Batch, orchestrator: Address) -> Result<Vec<u8>, ChainError> {
    let call = HaitheOrchestrator::settleBatchCall {
        seq: batch.seq,
        root: convert::hash(batch.root),
        lines: lines(batch, orchestrator)?,
    };
    Ok(call.abi_encode())
}

/// One line per organization, and behind them the orchestrator's own, which pays escrow.
fn lines(batch: &Batch, orchestrator: Address) -> Result<Vec<Settlement::Line>, ChainError> {
    let of_org = |sealed: &BatchLine| line(convert::address(sealed.address), &sealed.credits);
    let mut lines: Vec<_> = batch.lines.iter().map(of_org).collect::<Result<_, _>>()?;
    if !batch.payouts.is_empty() {
        lines.push(line(orchestrator, &batch.payouts)?);
    }
    Ok(lines)
}

/// The platform's credits, and those in escrow, become the line's own field; all others keep their
/// order.
fn line(org: Address, sealed: &[BatchCredit]) -> Result<Settlement::Line, ChainError> {
    let mut platform = TokenUnits::ZERO;
    let mut credits = Vec::with_capacity(sealed.len());
    for credit in sealed {
        match credit.payee {
            _ if credit.escrow => {
                platform = platform.checked_add(credit.units).ok_or_else(too_large)?;
            }
            Payee::Platform => {
                platform = platform.checked_add(credit.units).ok_or_else(too_large)?;
            }
            Payee::Creator(_) | Payee::Organization(_) => credits.push(Settlement::Credit {
                payee: convert::address(credit.address),
                amount: u96(credit.units)?,
            }),
        }
    }
    Ok(Settlement::Line {
        org,
        platform: u96(platform)?,
        credits,
    })
}

fn u96(units: TokenUnits) -> Result<U96, ChainError> {
    U96::try_from(units.get()).map_err(|_| too_large())
}

fn too_large() -> ChainError {
    ChainError::Refused("an amount in the batch is beyond the contract's 96 bits".to_owned())
}

impl std::fmt::Debug for EvmSettler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EvmSettler")
            .field("client", &self.client)
            .field("signer", &self.outgoing.as_ref().map(|outgoing| outgoing.signer))
            .finish_non_exhaustive()
    }
}
