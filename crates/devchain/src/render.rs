//! Blocks, transactions, receipts and logs as JSON-RPC shows them.

use crate::{
    blocks::{Blocks, Mined},
    pool::Pooled,
};
use alloy::{
    consensus::{
        Block as ConsensusBlock, BlockBody, BlockHeader, Header, TxEnvelope, transaction::TransactionInfo,
    },
    eips::eip4895::Withdrawals,
    primitives::{B256, U256},
    rpc::types::{Block, BlockTransactions, Header as RpcHeader, Log, Transaction, TransactionReceipt},
};

/// A sealed block, with hashes or whole transactions.
pub(crate) fn block(blocks: &Blocks, number: u64, full: bool) -> Option<Block> {
    let header = blocks.header(number)?;
    let hash = blocks.hash(number)?;
    let mined = blocks.transactions(number);
    let txs: Vec<&Pooled> = mined.iter().map(|mined| &mined.tx).collect();
    let whole = |index: usize| {
        mined
            .get(index)
            .map(|mined| transaction(blocks, number, index, mined))
    };
    Some(assemble(header, hash, &txs, full.then_some(&whole)))
}

/// The block that would be made now: a draft, not yet run, under the hash it has so far.
pub(crate) fn draft(header: Header, txs: &[Pooled], full: bool) -> Block {
    let hash = header.hash_slow();
    let txs: Vec<&Pooled> = txs.iter().collect();
    let whole = |index: usize| txs.get(index).map(|tx| waiting(tx));
    assemble(header, hash, &txs, full.then_some(&whole))
}

/// A block with what `whole` says of each transaction, or else with their hashes.
fn assemble(
    header: Header,
    hash: B256,
    txs: &[&Pooled],
    whole: Option<&dyn Fn(usize) -> Option<Transaction>>,
) -> Block {
    let body = BlockBody {
        transactions: txs.iter().map(|tx| tx.inner()).collect(),
        ommers: Vec::new(),
        withdrawals: Some(Withdrawals::default()),
    };
    let size = U256::from(ConsensusBlock::<&TxEnvelope>::rlp_length_for(&header, &body));
    let transactions = match whole {
        Some(whole) => BlockTransactions::Full((0..txs.len()).filter_map(whole).collect()),
        None => BlockTransactions::Hashes(txs.iter().map(|tx| *tx.tx_hash()).collect()),
    };
    Block {
        header: RpcHeader {
            hash,
            inner: header,
            total_difficulty: None,
            size: Some(size),
        },
        uncles: Vec::new(),
        transactions,
        withdrawals: Some(Withdrawals::default()),
    }
}

/// A mined transaction.
pub(crate) fn transaction(blocks: &Blocks, number: u64, index: usize, mined: &Mined) -> Transaction {
    let info = TransactionInfo {
        hash: Some(*mined.tx.tx_hash()),
        index: Some(index as u64),
        block_hash: blocks.hash(number),
        block_number: Some(number),
        base_fee: blocks.header(number).and_then(|header| header.base_fee_per_gas()),
        block_timestamp: blocks.timestamp(number),
    };
    Transaction::from_transaction((*mined.tx).clone(), info)
}

/// A transaction that waits for a block.
pub(crate) fn waiting(tx: &Pooled) -> Transaction {
    Transaction::from_transaction((**tx).clone(), TransactionInfo::default())
}

/// A mined transaction's receipt.
pub(crate) fn receipt(blocks: &Blocks, number: u64, index: usize, mined: &Mined) -> TransactionReceipt {
    let mut logs = logs(blocks, number, index, mined);
    let inner = mined.receipt.clone().map_logs(|log| {
        logs.next().unwrap_or(Log {
            inner: log,
            ..Default::default()
        })
    });
    TransactionReceipt {
        inner,
        transaction_hash: *mined.tx.tx_hash(),
        transaction_index: Some(index as u64),
        block_hash: blocks.hash(number),
        block_number: Some(number),
        gas_used: mined.gas_used,
        effective_gas_price: mined.gas_price,
        blob_gas_used: None,
        blob_gas_price: None,
        from: mined.tx.signer(),
        to: alloy::consensus::Transaction::to(mined.tx.inner()),
        contract_address: mined.created,
    }
}

/// The logs of a mined transaction.
pub(crate) fn logs<'a>(
    blocks: &Blocks,
    number: u64,
    index: usize,
    mined: &'a Mined,
) -> impl Iterator<Item = Log> + use<'a> {
    let (block_hash, block_timestamp) = (blocks.hash(number), blocks.timestamp(number));
    mined
        .receipt
        .logs()
        .iter()
        .enumerate()
        .map(move |(place, log)| Log {
            inner: log.clone(),
            block_hash,
            block_number: Some(number),
            block_timestamp,
            transaction_hash: Some(*mined.tx.tx_hash()),
            transaction_index: Some(index as u64),
            log_index: Some(mined.first_log + place as u64),
            removed: false,
        })
}
