//! `eth_getLogs`: which blocks, and which logs in them.

use crate::{LogLimits, RpcError, blocks::Blocks, node::Node, render};
use alloy::{
    eips::BlockNumberOrTag,
    rpc::types::{Filter, FilterBlockOption, Log},
};
use std::ops::RangeInclusive;

impl Node {
    /// Logs of the canonical chain that match, the oldest first.
    ///
    /// # Errors
    /// The range makes no sense, or is more than the node is set to answer.
    pub fn logs(&self, filter: &Filter) -> Result<Vec<Log>, RpcError> {
        let range = self.range(filter)?;
        let span = range.end().saturating_sub(*range.start()).saturating_add(1);
        if let Some(max) = self
            .log_limits
            .max_blocks
            .filter(|max| span > *max && !range.is_empty())
        {
            return Err(RpcError::limit(format!(
                "query spans {span} blocks, exceeds max block range {max}"
            )));
        }
        let logs = matching(&self.blocks, filter, range);
        match self.log_limits {
            LogLimits {
                max_results: Some(max),
                ..
            } if logs.len() > max => Err(RpcError::limit(format!("query returned more than {max} results"))),
            _ => Ok(logs),
        }
    }

    fn range(&self, filter: &Filter) -> Result<RangeInclusive<u64>, RpcError> {
        match filter.block_option {
            FilterBlockOption::AtBlockHash(hash) => {
                let number = self
                    .blocks
                    .number_of(&hash)
                    .ok_or_else(|| RpcError::refused("unknown block"))?;
                Ok(number..=number)
            }
            FilterBlockOption::Range { from_block, to_block } => {
                let resolve = |tag: Option<BlockNumberOrTag>| match tag.unwrap_or_default() {
                    BlockNumberOrTag::Number(number) => number,
                    tag => self.number_of(tag).unwrap_or_default(),
                };
                let (from, to) = (resolve(from_block), resolve(to_block));
                if from > to {
                    return Err(RpcError::params(
                        "invalid block range params: fromBlock is after toBlock",
                    ));
                }
                Ok(from..=to.min(self.head()))
            }
        }
    }
}

/// Logs in a range of blocks that match; an empty range has none.
pub(crate) fn matching(blocks: &Blocks, filter: &Filter, range: RangeInclusive<u64>) -> Vec<Log> {
    let mut logs = Vec::new();
    for (number, body) in blocks.bodies(range) {
        if !filter.matches_bloom(body.bloom) {
            continue;
        }
        for (index, mined) in body.transactions.iter().enumerate() {
            logs.extend(render::logs(blocks, number, index, mined).filter(|log| filter.matches(&log.inner)));
        }
    }
    logs
}
