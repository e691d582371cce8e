//! A chain from its journal: what was written is done again and must come out the same.

use crate::{
    DevChainConfig, RpcError, StartError, admission,
    blocks::Slot,
    config::Genesis,
    journal::{EmptyRun, Entry, Journal},
    node::Node,
    pool::Pooled,
    state::Mark,
};
use alloy::primitives::{B256, Bytes, U256, keccak256};
use revm::{bytecode::Bytecode, state::AccountInfo};

impl Node {
    /// The chain a journal holds, which writes to that journal from now on.
    ///
    /// A count of empty blocks on the last line is written over while it grows. If a crash of the
    /// whole machine tore it, those empty blocks are lost and nothing else.
    ///
    /// # Errors
    /// The first line that this program cannot have written.
    pub fn from_journal(
        config: &DevChainConfig,
        genesis: &Genesis,
        mut journal: Journal,
        entries: &[Entry],
    ) -> Result<Self, StartError> {
        let mut node = match Self::replayed(config, genesis, entries) {
            Ok(node) => node,
            Err((index, reason)) => match entries.split_last() {
                Some((Entry::Empty(_), before)) if index == before.len() => {
                    tracing::warn!(%reason, "the journal's last line was torn and is dropped");
                    journal.drop_last_line()?;
                    return Self::from_journal(config, genesis, journal, before);
                }
                // The genesis is line 1, so entry 0 is line 2.
                _ => return Err(journal.damaged(index + 2, reason)),
            },
        };
        node.journal = Some(journal);
        Ok(node)
    }

    /// Does everything again; the error says which entry could not be.
    fn replayed(
        config: &DevChainConfig,
        genesis: &Genesis,
        entries: &[Entry],
    ) -> Result<Self, (usize, String)> {
        let mut node = Self::new(config, genesis.clone());
        node.replaying = true;
        for (index, entry) in entries.iter().enumerate() {
            node.replay(entry).map_err(|reason| (index, reason))?;
        }
        node.replaying = false;
        node.forget_history();
        Ok(node)
    }

    fn replay(&mut self, entry: &Entry) -> Result<(), String> {
        match entry {
            Entry::Genesis { .. } => return Err("a second genesis".to_owned()),
            Entry::Block {
                slot,
                hash,
                transactions,
            } => {
                let txs: Result<Vec<Pooled>, RpcError> =
                    transactions.iter().map(|raw| admission::decode(raw)).collect();
                self.replay_block(*slot, txs.map_err(|error| error.message)?, Some(*hash))?;
            }
            Entry::Empty(run) => self.replay_run(run)?,
            Entry::Rewind { block, writes } => {
                let mark = Mark {
                    block: *block,
                    writes: *writes,
                };
                self.rewind(mark)
                    .ok_or_else(|| format!("block {block} cannot be gone back to"))?;
            }
            Entry::Account {
                address,
                balance,
                nonce,
                code,
            } => {
                self.state
                    .set_account(*address, account_info(*balance, *nonce, code)?);
            }
            Entry::Slot { address, slot, value } => self.state.set_slot(*address, *slot, *value),
            Entry::Clock(clock) => self.clock = *clock,
        }
        Ok(())
    }

    fn replay_run(&mut self, run: &EmptyRun) -> Result<(), String> {
        for index in 0..run.count {
            let slot = Slot {
                number: run.first.saturating_add(index),
                timestamp: run.time.saturating_add(run.step.saturating_mul(index)),
                base_fee: self.blocks.base_fee_after(self.head()),
            };
            self.replay_block(slot, Vec::new(), (index + 1 == run.count).then_some(run.hash))?;
        }
        Ok(())
    }

    fn replay_block(&mut self, slot: Slot, txs: Vec<Pooled>, expected: Option<B256>) -> Result<(), String> {
        if slot.number != self.head() + 1 {
            return Err(format!("block {} follows block {}", slot.number, self.head()));
        }
        let count = txs.len();
        let sealed = self.seal(slot, txs);
        if sealed.mined.len() != count {
            return Err(format!("block {}: a transaction did not run again", slot.number));
        }
        if expected.is_some_and(|hash| hash != sealed.hash) {
            return Err(format!("block {} comes out different", slot.number));
        }
        Ok(())
    }
}

/// An account with code, in revm's terms.
fn account_info(balance: U256, nonce: u64, code: &Bytes) -> Result<AccountInfo, String> {
    let info = AccountInfo {
        balance,
        nonce,
        ..Default::default()
    };
    if code.is_empty() {
        return Ok(info);
    }
    let bytecode = Bytecode::new_raw_checked(code.clone()).map_err(|_| "the code is not valid".to_owned())?;
    Ok(AccountInfo {
        code_hash: keccak256(code),
        code: Some(bytecode),
        ..info
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    /// A chain whose journal file takes no more writes, as on a full disk.
    fn on_a_full_disk() -> (tempfile::TempDir, Node) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chain");
        let config = DevChainConfig {
            genesis_time: Some(1),
            ..DevChainConfig::default()
        };
        let chain = crate::DevChain::start(DevChainConfig {
            journal: Some(path.clone()),
            ..config.clone()
        })
        .unwrap();
        let genesis = chain.node().blocks.genesis().clone();
        drop(chain);
        let (mut journal, genesis, entries) = Journal::open(&path, genesis).unwrap();
        journal.replace_file(File::open(&path).unwrap());
        let node = Node::from_journal(&config, &genesis, journal, &entries).unwrap();
        (folder, node)
    }

    #[test]
    fn a_journal_that_takes_no_writes_stops_the_chain_and_says_so() {
        let (_folder, mut node) = on_a_full_disk();
        let snapshot = node.snapshot();
        node.mine();
        assert_eq!(
            node.head(),
            1,
            "the block whose line could not be written is the last"
        );
        node.mine();
        node.tick(1);
        assert_eq!(node.head(), 1);
        let refused = node.submit(&[]).unwrap_err();
        assert_eq!(refused.code, -32_603);
        assert!(
            refused.message.starts_with("the chain journal cannot be written"),
            "{refused}"
        );
        assert!(
            node.edit_slot(Default::default(), U256::ZERO, U256::from(1))
                .is_err()
        );
        assert!(node.rollback(1).is_err());
        assert!(!node.revert(snapshot));
    }
}
