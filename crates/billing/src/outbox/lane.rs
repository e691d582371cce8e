//! A signer's lane of nonces, and how far an intent has come.

use super::TxState;
use crate::batch::BatchSeq;

/// An intent's nonce, and its state with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NonceAssignment {
    /// The nonce.
    pub nonce: u64,
    /// The state from now on.
    pub state: TxState,
}

/// An intent, as far as its nonce is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NonceRequest {
    /// The intent's state.
    pub state: TxState,
    /// Its nonce, if it has one.
    pub nonce: Option<u64>,
    /// The highest nonce of its signer's intents.
    pub highest: Option<u64>,
    /// The chain's next nonce of the signer.
    pub chain_nonce: u64,
}

impl NonceRequest {
    /// The intent's nonce: the one that it has, or the lane's next, which is the one after the highest and
    /// never below the chain's. An intent that gets a nonce counts as sent. `None` when the intent is closed,
    /// or when the lane has no next nonce.
    pub fn assign(&self) -> Option<NonceAssignment> {
        if !self.state.is_open() {
            return None;
        }
        if let Some(nonce) = self.nonce {
            let state = self.state;
            return Some(NonceAssignment { nonce, state });
        }
        let next = match self.highest {
            Some(highest) => highest.checked_add(1)?,
            None => 0,
        };
        Some(NonceAssignment {
            nonce: next.max(self.chain_nonce),
            state: TxState::Sent,
        })
    }
}

impl TxState {
    const ALL: [Self; 5] = [Self::Queued, Self::Sent, Self::Mined, Self::Done, Self::Failed];

    /// The word in a database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Mined => "mined",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// The state of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether the sender still works on the intent.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Sent | Self::Mined)
    }

    /// The state of an intent that is closed because of this failure, or without one.
    pub const fn closed(failure: Option<&str>) -> Self {
        if failure.is_some() {
            Self::Failed
        } else {
            Self::Done
        }
    }
}

/// The batch that an intent of the purpose [`SettleBatch`](super::TxPurpose::SettleBatch) settles: its key is `settle/{seq}`, or
/// `retry/{number}/settle/{seq}` after failures.
pub fn settled_batch(key: &str) -> Option<BatchSeq> {
    let (rest, seq) = key.rsplit_once('/')?;
    let is_settlement = rest == "settle" || rest.ends_with("/settle");
    seq.parse().ok().filter(|_| is_settlement)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(highest: Option<u64>, chain_nonce: u64) -> NonceRequest {
        NonceRequest {
            state: TxState::Queued,
            nonce: None,
            highest,
            chain_nonce,
        }
    }

    #[test]
    fn a_nonce_follows_the_lane_and_the_chain() {
        let nonce = |highest, chain| request(highest, chain).assign().map(|assigned| assigned.nonce);
        assert_eq!(nonce(None, 0), Some(0));
        assert_eq!(nonce(None, 5), Some(5));
        assert_eq!(nonce(Some(5), 5), Some(6), "the lane is ahead of the chain");
        assert_eq!(nonce(Some(5), 20), Some(20), "the chain is ahead of the lane");
        assert_eq!(nonce(Some(u64::MAX), 0), None, "there is no next nonce");
        assert_eq!(
            request(None, 0).assign().map(|assigned| assigned.state),
            Some(TxState::Sent)
        );
    }

    #[test]
    fn a_nonce_is_assigned_once_and_never_to_a_closed_intent() {
        let mined = NonceRequest {
            state: TxState::Mined,
            nonce: Some(3),
            ..request(Some(9), 20)
        };
        let assigned = NonceAssignment {
            nonce: 3,
            state: TxState::Mined,
        };
        assert_eq!(mined.assign(), Some(assigned));
        for state in [TxState::Done, TxState::Failed] {
            let closed = NonceRequest { state, ..mined };
            assert_eq!(closed.assign(), None);
        }
    }

    #[test]
    fn words_read_back() {
        for state in TxState::ALL {
            assert_eq!(TxState::from_word(state.as_str()), Some(state));
        }
        assert_eq!(TxState::from_word("gone"), None);
        assert_eq!(TxState::closed(None), TxState::Done);
        assert_eq!(TxState::closed(Some("reverted")), TxState::Failed);
    }

    #[test]
    fn a_settlement_key_names_its_batch() {
        assert_eq!(settled_batch("settle/5"), Some(5));
        assert_eq!(settled_batch("retry/2/settle/17"), Some(17));
        for key in ["settle/", "settle/x", "faucet/5", "5", "unsettle/5"] {
            assert_eq!(settled_batch(key), None, "{key}");
        }
    }
}
