//! What a node says when it is handed a transaction, and what that means for the lane.

use crate::failure::{NodeError, bounded};

/// The meaning of an answer to `eth_sendRawTransaction`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The node has it, now or since earlier.
    Accepted,
    /// Nobody knows whether the node has it.
    Lost,
    /// Its nonce is used: one attempt was mined, or a stranger's transaction.
    NonceUsed,
    /// The node holds an offer for this nonce that is not low enough to be replaced.
    Outbid,
    /// The offer is below what the node takes at all.
    TooCheap,
    /// The account cannot pay for it.
    NoFunds(String),
    /// The node will never take it.
    Rejected(String),
}

impl Answer {
    /// Why the node will never accept the transaction, if that is what it returned.
    pub fn rejection(self) -> Option<String> {
        match self {
            Self::Rejected(reason) => Some(reason),
            _ => None,
        }
    }

    /// Reads what is no plain acceptance; a message that is not known is taken for a refusal and shown.
    pub fn of(error: &NodeError) -> Self {
        let payload = match error {
            NodeError::Refused(payload) => payload,
            NodeError::Timeout { .. } | NodeError::Unreachable(_) | NodeError::Nonsense(_) => {
                return Self::Lost;
            }
        };
        let message = payload.message.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
        if says(&[
            "already known",
            "alreadyknown",
            "known transaction",
            "already imported",
            "already exists",
        ]) {
            Self::Accepted
        } else if says(&[
            "nonce too low",
            "nonce is too low",
            "oldnonce",
            "nonce has already been used",
        ]) {
            Self::NonceUsed
        } else if says(&["replacement", "replace existing"]) {
            Self::Outbid
        } else if says(&["insufficient funds", "insufficient balance", "insufficientfunds"]) {
            Self::NoFunds(bounded(&payload.message))
        } else if says(&[
            "underpriced",
            "less than block base fee",
            "feetoolow",
            "fee too low",
            "gas price too low",
        ]) {
            Self::TooCheap
        } else if payload.is_retry_err()
            || payload.code == -32603
            || says(&["txpool is full", "timeout", "timed out"])
        {
            Self::Lost
        } else {
            Self::Rejected(bounded(&payload.message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::rpc::json_rpc::ErrorPayload;
    use std::time::Duration;

    fn answer(code: i64, message: &'static str) -> Answer {
        let message = message.into();
        Answer::of(&NodeError::Refused(ErrorPayload {
            code,
            message,
            data: None,
        }))
    }

    #[test]
    fn nodes_say_the_same_in_many_words() {
        for message in [
            "already known",
            "AlreadyKnown",
            "known transaction: 0x12",
            "Transaction already imported.",
        ] {
            assert_eq!(answer(-32000, message), Answer::Accepted, "{message}");
        }
        for message in [
            "nonce too low: next nonce 5, tx nonce 4",
            "Transaction nonce is too low.",
            "OldNonce",
        ] {
            assert_eq!(answer(-32000, message), Answer::NonceUsed, "{message}");
        }
        for message in [
            "replacement transaction underpriced",
            "could not replace existing tx",
        ] {
            assert_eq!(answer(-32000, message), Answer::Outbid, "{message}");
        }
        for message in [
            "transaction underpriced: tip needed 1, tip permitted 0",
            "max fee per gas less than block base fee: address 0x1",
        ] {
            assert_eq!(answer(-32000, message), Answer::TooCheap, "{message}");
        }
        let message = "insufficient funds for gas * price + value: balance 0";
        assert_eq!(answer(-32000, message), Answer::NoFunds(message.into()));
    }

    #[test]
    fn silence_and_overload_are_not_taken_for_refusals() {
        let silence = NodeError::Timeout {
            what: "eth_sendRawTransaction",
            after: Duration::from_secs(1),
        };
        assert_eq!(Answer::of(&silence), Answer::Lost);
        assert_eq!(
            answer(-32005, "daily request count exceeded, request rate limited"),
            Answer::Lost
        );
        assert_eq!(answer(-32603, "internal error"), Answer::Lost);
        assert_eq!(answer(-32000, "txpool is full"), Answer::Lost);
    }

    #[test]
    fn an_unknown_refusal_is_shown() {
        let message = "exceeds block gas limit";
        assert_eq!(answer(-32000, message), Answer::Rejected(message.into()));
    }
}
