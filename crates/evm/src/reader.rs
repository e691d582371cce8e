//! Reads blocks, events and balances.

use crate::{
    client::ChainClient,
    contracts::TestUsdt,
    convert,
    events::{self, Decoded},
    failure::NodeError,
};
use alloy::{
    eips::BlockNumberOrTag,
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes},
    providers::Provider,
    rpc::{
        client::BatchRequest,
        types::{Filter, Log, TransactionRequest},
    },
    sol_types::SolCall,
    transports::TransportError,
};
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};
use haithe_billing::{
    chain::{BlockRef, ChainError, ChainEvent, EventBody, Hash32},
    ports::ChainReader,
};
use haithe_kernel::{Timestamp, TokenUnits, WalletAddress};
use std::collections::{BTreeMap, BTreeSet};

/// Organizations per question about transfers; geth allows 1000 topics in a position.
const ORGS_PER_QUESTION: usize = 500;

/// Balances asked for in one JSON-RPC batch. Hosted nodes allow 100 and more.
const BALANCES_PER_BATCH: usize = 100;
/// Batches under way at once, so that a check leaves the node's other places free.
const BATCHES_AT_ONCE: usize = 2;

/// [`ChainReader`] over JSON-RPC.
#[derive(Debug, Clone)]
pub struct EvmChainReader {
    client: ChainClient,
}

impl EvmChainReader {
    /// Reads the chain of `client`.
    pub fn new(client: ChainClient) -> Self {
        Self { client }
    }

    async fn block_at(&self, tag: BlockNumberOrTag) -> Result<Option<BlockRef>, ChainError> {
        // A node that serves another chain must not feed the index.
        self.client.check().await?;
        let node = self.client.node();
        let block = node
            .ask("eth_getBlockByNumber", node.provider().get_block_by_number(tag))
            .await?;
        Ok(block.map(|block| convert::block_ref(&block.header)))
    }

    async fn logs(&self, filter: Filter) -> Result<Vec<Log>, ChainError> {
        let node = self.client.node();
        let logs = node.ask("eth_getLogs", node.provider().get_logs(&filter)).await;
        logs.map_err(|error| match error.is_range_too_large() {
            true => ChainError::RangeTooLarge,
            false => error.into(),
        })
    }

    /// Transfers of the payment token from or to any of `orgs`; one between two of them comes twice.
    async fn transfers(&self, from: u64, to: u64, orgs: &BTreeSet<Address>) -> Result<Vec<Log>, ChainError> {
        let token = self.client.token().await?;
        let range = Filter::new()
            .address(token)
            .event_signature(events::TRANSFER)
            .from_block(from)
            .to_block(to);
        let topics: Vec<B256> = orgs.iter().map(|org| org.into_word()).collect();
        let questions = topics.chunks(ORGS_PER_QUESTION).flat_map(|chunk| {
            let (out, into) = (
                range.clone().topic1(chunk.to_vec()),
                range.clone().topic2(chunk.to_vec()),
            );
            [self.logs(out), self.logs(into)]
        });
        Ok(try_join_all(questions).await?.into_iter().flatten().collect())
    }

    /// Balances of one batch. A node that takes no batches is asked one by one.
    async fn balances(
        &self,
        token: Address,
        holders: Vec<Address>,
        block: Option<u64>,
    ) -> Result<Vec<TokenUnits>, NodeError> {
        match self.balances_at_once(token, &holders, block).await {
            Err(NodeError::Refused(_) | NodeError::Nonsense(_) | NodeError::Unreachable(_)) => {}
            answered => return answered,
        }
        let one = |holder: Address| async move {
            let contract = TestUsdt::new(token, self.client.node().provider().clone());
            let balance = contract.balanceOf(holder).block(convert::at(block));
            let units = self.client.node().ask("balanceOf()", balance.call()).await?;
            Ok::<_, NodeError>(TokenUnits::new(convert::amount(units).unwrap_or(u128::MAX)))
        };
        try_join_all(holders.into_iter().map(one)).await
    }

    /// One JSON-RPC batch of `eth_call`s.
    async fn balances_at_once(
        &self,
        token: Address,
        holders: &[Address],
        block: Option<u64>,
    ) -> Result<Vec<TokenUnits>, NodeError> {
        let node = self.client.node();
        let question = async {
            let mut batch = BatchRequest::new(node.provider().client());
            let mut waiting = Vec::with_capacity(holders.len());
            for holder in holders {
                let call = TestUsdt::balanceOfCall { account: *holder };
                let call = TransactionRequest::default()
                    .with_to(token)
                    .with_input(call.abi_encode());
                waiting.push(batch.add_call::<_, Bytes>("eth_call", &(call, convert::at(block)))?);
            }
            batch.send().await?;
            try_join_all(waiting).await
        };
        let answers = node
            .ask::<_, TransportError>("balanceOf() in a batch", question)
            .await?;
        let units = |answer: &Bytes| {
            let units = TestUsdt::balanceOfCall::abi_decode_returns(answer)
                .map_err(|_| NodeError::Nonsense("a balance that is not a number".into()))?;
            Ok(TokenUnits::new(convert::amount(units).unwrap_or(u128::MAX)))
        };
        answers.iter().map(units).collect()
    }

    /// When each block was made, for logs that do not say it.
    async fn times(&self, rows: &BTreeMap<(u64, u64), Row>) -> Result<BTreeMap<u64, Timestamp>, ChainError> {
        let numbers: BTreeSet<u64> = rows
            .values()
            .filter(|row| row.time.is_none())
            .map(|row| row.block)
            .collect();
        let blocks = try_join_all(
            numbers
                .iter()
                .map(|number| self.block_at(BlockNumberOrTag::Number(*number))),
        )
        .await?;
        Ok(blocks
            .into_iter()
            .flatten()
            .map(|block| (block.number, block.time))
            .collect())
    }
}

/// A decoded log on its way to an event.
struct Row {
    block: u64,
    block_hash: Hash32,
    time: Option<Timestamp>,
    tx: Hash32,
    log_index: u64,
    body: EventBody,
}

impl Row {
    /// `Ok(None)` for what nobody asks for, what is broken, and what the node says is gone.
    fn read(log: &Log, decode: fn(&[B256], &[u8]) -> Decoded) -> Result<Option<Self>, ChainError> {
        if log.removed {
            return Ok(None);
        }
        let place = (
            log.block_number,
            log.block_hash,
            log.transaction_hash,
            log.log_index,
        );
        let (Some(block), Some(block_hash), Some(tx), Some(log_index)) = place else {
            return Err(NodeError::Nonsense("a log without its place in the chain".into()).into());
        };
        let body = match decode(log.topics(), &log.data().data) {
            Decoded::Event(body) => body,
            Decoded::Unknown => return Ok(None),
            Decoded::Broken => {
                tracing::warn!(block, %tx, log_index, "a log of the contracts makes no sense and is left out");
                return Ok(None);
            }
        };
        let time = log.block_timestamp.map(convert::time);
        Ok(Some(Self {
            block,
            block_hash: block_hash.0,
            time,
            tx: tx.0,
            log_index,
            body,
        }))
    }
}

#[async_trait]
impl ChainReader for EvmChainReader {
    async fn head(&self) -> Result<BlockRef, ChainError> {
        let head = self.block_at(BlockNumberOrTag::Latest).await?;
        head.ok_or_else(|| NodeError::Nonsense("there is no newest block".into()).into())
    }

    async fn block(&self, number: u64) -> Result<Option<BlockRef>, ChainError> {
        self.block_at(BlockNumberOrTag::Number(number)).await
    }

    async fn events(
        &self,
        from: u64,
        to: u64,
        orgs: Vec<WalletAddress>,
    ) -> Result<Vec<ChainEvent>, ChainError> {
        self.client.check().await?;
        let orchestrator = convert::address(self.client.orchestrator());
        let all = Filter::new().address(orchestrator).from_block(from).to_block(to);
        let mut rows = BTreeMap::new();
        let mut orgs: BTreeSet<Address> = orgs.into_iter().map(convert::address).collect();
        for log in self.logs(all).await? {
            let Some(row) = Row::read(&log, events::orchestrator)? else {
                continue;
            };
            if let EventBody::OrganizationCreated { org, .. } = &row.body {
                orgs.insert(convert::address(*org));
            }
            rows.insert((row.block, row.log_index), row);
        }
        for log in self.transfers(from, to, &orgs).await? {
            if let Some(row) = Row::read(&log, events::transfer)? {
                rows.insert((row.block, row.log_index), row);
            }
        }
        let mut hashes = BTreeMap::new();
        let torn = rows
            .values()
            .any(|row| *hashes.entry(row.block).or_insert(row.block_hash) != row.block_hash);
        if torn {
            return Err(NodeError::Nonsense("the chain changed while it was read".into()).into());
        }
        let times = self.times(&rows).await?;
        let event = |row: Row| {
            let block_time = row.time.or_else(|| times.get(&row.block).copied());
            let block_time =
                block_time.ok_or_else(|| NodeError::Nonsense("a log in a block that is not there".into()))?;
            Ok(ChainEvent {
                block: row.block,
                block_hash: row.block_hash,
                block_time,
                tx: row.tx,
                log_index: row.log_index,
                body: row.body,
            })
        };
        rows.into_values().map(event).collect()
    }

    async fn token_balances(
        &self,
        holders: Vec<WalletAddress>,
        block: Option<u64>,
    ) -> Result<Vec<TokenUnits>, ChainError> {
        let token = self.client.token().await?;
        let chunks: Vec<Vec<Address>> = holders
            .chunks(BALANCES_PER_BATCH)
            .map(|chunk| chunk.iter().copied().map(convert::address).collect())
            .collect();
        let answers: Vec<Vec<TokenUnits>> = stream::iter(chunks)
            .map(|chunk| self.balances(token, chunk, block))
            .buffered(BATCHES_AT_ONCE)
            .try_collect()
            .await?;
        Ok(answers.concat())
    }
}
