//! Which of two role changes is newest: the decision made here, or the owner's own change on chain.
//!
//! The server's transactions repeat decisions made here, perhaps older ones than the newest, so they never
//! decide. Of a decision made here and an owner's change on chain the later one holds. A change that a decision
//! overruled stays overruled when a reorganization moves its transaction to another block.

use crate::model::OrgRole;
use haithe_kernel::Timestamp;

/// How the index meets an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// For the first time.
    First,
    /// Again, after a reorganization dropped blocks above it.
    Again,
}

/// A change of a wallet's role on chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainRoleChange {
    /// Number of its block.
    pub block: u64,
    /// Time of its block.
    pub at: Timestamp,
    /// The server sent the transaction, to repeat a decision made here.
    pub mirrors: bool,
    /// The transaction was in a dropped block, and a decision made here overruled it there.
    pub overruled: bool,
}

/// The newest decision made here about a wallet's role in an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleDecision {
    /// The role that was decided; `None` removed the wallet.
    pub role: Option<OrgRole>,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// The newest block that was indexed then; `None` before the first.
    pub after_block: Option<u64>,
}

impl RoleDecision {
    /// Whether the decision overrules a change in this block for good, also when a reorganization drops the
    /// block and the transaction is mined again: the block was indexed when the decision was made.
    pub fn overrules_block(&self, block: u64) -> bool {
        self.after_block >= Some(block)
    }
}

/// Whether a change on chain is newer than the decision made here, and sets the wallet's role.
///
/// The index may lag behind the chain: a change that is seen after the decision and was mined before it is
/// older. When an event is met again, a decision that knew its block is newer, too.
pub fn chain_is_newest(change: &ChainRoleChange, decision: Option<&RoleDecision>, sight: Sight) -> bool {
    if change.mirrors || change.overruled {
        return false;
    }
    !decision.is_some_and(|decision| {
        decision.decided_at > change.at || (sight == Sight::Again && decision.overrules_block(change.block))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGE: ChainRoleChange = ChainRoleChange {
        block: 10,
        at: Timestamp::from_seconds(100),
        mirrors: false,
        overruled: false,
    };

    fn decision(seconds: i64, after_block: Option<u64>) -> RoleDecision {
        RoleDecision {
            role: Some(OrgRole::Member),
            decided_at: Timestamp::from_seconds(seconds),
            after_block,
        }
    }

    #[test]
    fn the_later_of_a_decision_and_a_change_on_chain_holds() {
        for (seconds, after_block, first, again) in [
            (99, Some(9), true, true),
            (99, None, true, true),
            (100, Some(9), true, true),
            (101, Some(9), false, false),
            // The block's clock was ahead: the decision knew the block.
            (99, Some(10), true, false),
            (99, Some(11), true, false),
        ] {
            let decision = decision(seconds, after_block);
            let newest = |sight| chain_is_newest(&CHANGE, Some(&decision), sight);
            let case = (seconds, after_block);
            assert_eq!(newest(Sight::First), first, "{case:?}");
            assert_eq!(newest(Sight::Again), again, "{case:?}");
        }
        assert!(chain_is_newest(&CHANGE, None, Sight::First));
        assert!(chain_is_newest(&CHANGE, None, Sight::Again));
    }

    #[test]
    fn a_mirrored_or_overruled_change_never_decides() {
        for change in [
            ChainRoleChange {
                mirrors: true,
                ..CHANGE
            },
            ChainRoleChange {
                overruled: true,
                ..CHANGE
            },
        ] {
            assert!(!chain_is_newest(&change, None, Sight::First));
            assert!(!chain_is_newest(&change, Some(&decision(1, None)), Sight::Again));
        }
    }

    #[test]
    fn a_decision_overrules_the_blocks_that_it_knew() {
        assert!(decision(1, Some(10)).overrules_block(10));
        assert!(!decision(1, Some(9)).overrules_block(10));
        assert!(!decision(1, None).overrules_block(0));
    }
}
