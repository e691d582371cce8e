//! Logs become the domain's events.
//!
//! What strangers wrote is bounded and stripped here, once: names and addresses of content end up
//! in pages, logs and databases. A log that makes no sense harms only itself.

use crate::{
    contracts::{
        HaitheOrchestrator::{self, HaitheOrchestratorErrors, HaitheOrchestratorEvents as Event},
        TestUsdt,
    },
    convert::{amount, time, wallet},
};
use alloy::{
    primitives::{B256, Bytes, U256},
    sol_types::{SolEvent, SolEventInterface, SolInterface},
};
use haithe_billing::chain::{EventBody, SkipReason};
use haithe_kernel::WalletAddress;

/// Longest texts kept, in bytes: what the contracts allow, and a little for replaced bytes.
const NAME: usize = 256;
const CATEGORY: usize = 256;
const URI: usize = 2 * 2048;
const KEY: usize = 8192;

/// Topic of the payment token's transfers.
pub(crate) const TRANSFER: B256 = TestUsdt::Transfer::SIGNATURE_HASH;

/// What became of a log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// Understood.
    Event(EventBody),
    /// An event nobody here asks for.
    Unknown,
    /// An event by its topic, but its contents make no sense or are out of range.
    Broken,
}

impl From<Option<EventBody>> for Decoded {
    fn from(body: Option<EventBody>) -> Self {
        body.map_or(Self::Broken, Self::Event)
    }
}

/// Reads a log of the payment token.
pub(crate) fn transfer(topics: &[B256], data: &[u8]) -> Decoded {
    if topics.first() != Some(&TRANSFER) {
        return Decoded::Unknown;
    }
    match TestUsdt::Transfer::decode_raw_log(topics.iter().copied(), data) {
        Ok(event) => Decoded::Event(EventBody::Transfer {
            from: wallet(event.from),
            to: wallet(event.to),
            amount: amount(event.value),
        }),
        Err(_) => Decoded::Broken,
    }
}

/// Reads a log of the orchestrator.
pub(crate) fn orchestrator(topics: &[B256], data: &[u8]) -> Decoded {
    let known = topics
        .first()
        .is_some_and(|topic| Event::SELECTORS.contains(&topic.0));
    if !known {
        return Decoded::Unknown;
    }
    match Event::decode_raw_log(topics, data) {
        Ok(event) => body(event),
        Err(_) => Decoded::Broken,
    }
}

fn body(event: Event) -> Decoded {
    let body = match event {
        Event::OrganizationCreated(e) => number(e.index).map(|index| EventBody::OrganizationCreated {
            index,
            org: wallet(e.organization),
            owner: wallet(e.owner),
            name: clean(&e.name, NAME),
        }),
        Event::OrganizationFunded(e) => Some(EventBody::OrganizationFunded {
            org: wallet(e.organization),
            amount: amount(e.amount),
        }),
        Event::RoleChanged(e) => Some(EventBody::RoleChanged {
            org: wallet(e.organization),
            wallet: wallet(e.account),
            role: e.role,
        }),
        Event::OrganizationOwnershipOffered(e) => Some(EventBody::OwnershipOffered {
            org: wallet(e.organization),
            to: wallet(e.newOwner),
        }),
        Event::OrganizationOwnershipTransferred(e) => Some(EventBody::OwnershipTransferred {
            org: wallet(e.organization),
            from: wallet(e.previousOwner),
            to: wallet(e.newOwner),
        }),
        Event::DailyCapChanged(e) => Some(EventBody::DailyCapChanged {
            org: wallet(e.organization),
            cap: amount(e.cap),
            effective_at: time(e.effectiveAt),
        }),
        Event::ProductEnabled(e) => Some(EventBody::ProductEnabled {
            org: wallet(e.organization),
            product: wallet(e.product),
            max_price: amount(e.maxPrice),
        }),
        Event::ProductDisabled(e) => Some(EventBody::ProductDisabled {
            org: wallet(e.organization),
            product: wallet(e.product),
        }),
        Event::WithdrawalRequested(e) => Some(EventBody::WithdrawalRequested {
            org: wallet(e.organization),
            to: wallet(e.to),
            amount: amount(e.amount),
            ready_at: time(e.readyAt),
        }),
        Event::WithdrawalExecuted(e) => Some(EventBody::WithdrawalExecuted {
            org: wallet(e.organization),
            to: wallet(e.to),
            amount: amount(e.amount),
        }),
        Event::WithdrawalCancelled(e) => Some(EventBody::WithdrawalCancelled {
            org: wallet(e.organization),
        }),
        Event::ProductAdded(e) => product_added(e),
        Event::PriceChanged(e) => Some(EventBody::PriceChanged {
            product: wallet(e.product),
            price: amount(e.pricePerCall),
        }),
        Event::PriceScheduled(e) => Some(EventBody::PriceScheduled {
            product: wallet(e.product),
            price: amount(e.price),
            next_price: amount(e.nextPrice),
            next_price_at: time(e.nextPriceAt),
        }),
        Event::UriChanged(e) => Some(EventBody::UriChanged {
            product: wallet(e.product),
            uri: clean(&e.uri, URI),
        }),
        Event::ProductRetired(e) => Some(EventBody::ProductRetired {
            product: wallet(e.product),
        }),
        Event::CreatorRegistered(e) => number(e.id).map(|id| EventBody::CreatorRegistered {
            creator: wallet(e.creator),
            id,
            uri: clean(&e.uri, URI),
            pub_key: clean(&e.pubKey, KEY),
        }),
        Event::CreatorWithdrawn(e) => Some(EventBody::CreatorWithdrawn {
            creator: wallet(e.creator),
            amount: amount(e.amount),
        }),
        Event::PayoutAddressProposed(e) => Some(EventBody::PayoutAddressProposed {
            creator: wallet(e.creator),
            payout: wallet(e.payout),
            effective_at: time(e.effectiveAt),
        }),
        Event::PayoutAddressCancelled(e) => Some(EventBody::PayoutAddressCancelled {
            creator: wallet(e.creator),
        }),
        Event::BatchSettled(e) => number(e.skipped).map(|skipped| EventBody::BatchSettled {
            seq: e.seq,
            hash: e.hash.0,
            root: e.root.0,
            total: amount(e.total),
            skipped,
        }),
        Event::LineSkipped(e) => line_skipped(&e),
        Event::PlatformWithdrawn(e) => Some(EventBody::PlatformWithdrawn {
            to: wallet(e.to),
            amount: amount(e.amount),
        }),
        Event::ServerChanged(e) => Some(EventBody::ServerChanged {
            server: wallet(e.newServer),
        }),
        Event::Paused(_) => Some(EventBody::Paused),
        Event::Unpaused(_) => Some(EventBody::Unpaused),
        // Told by `BatchSettled` and the batch itself, or of no interest to the books.
        Event::CreatorCredited(_)
        | Event::OrganizationExpenditure(_)
        | Event::EscrowPaid(_)
        | Event::StrayRecovered(_)
        | Event::ServerChangeProposed(_)
        | Event::GuardianChanged(_)
        | Event::OwnershipTransferStarted(_)
        | Event::OwnershipTransferred(_) => return Decoded::Unknown,
    };
    body.into()
}

fn product_added(e: HaitheOrchestrator::ProductAdded) -> Option<EventBody> {
    Some(EventBody::ProductAdded {
        index: number(e.index)?,
        product: wallet(e.product),
        creator: wallet(e.creator),
        name: clean(&e.name, NAME),
        uri: clean(&e.uri, URI),
        encrypted_key: clean(&e.encryptedKeyForTEE, KEY),
        category: clean(&e.category, CATEGORY),
        price: amount(e.pricePerCall),
    })
}

fn line_skipped(e: &HaitheOrchestrator::LineSkipped) -> Option<EventBody> {
    Some(EventBody::LineSkipped {
        seq: e.seq,
        line: u32::try_from(e.line).ok()?,
        org: wallet(e.organization),
        amount: amount(e.amount),
        reason: skip_reason(&e.reason),
        payee: named(&e.reason),
    })
}

/// Why a line was skipped, from the first bytes of the error that stopped it. `Other(0)` gave no
/// reason at all, as code that runs out of gas does; `Other(1)` gave one that is none of ours.
fn skip_reason(reason: &Bytes) -> SkipReason {
    if reason.is_empty() {
        return SkipReason::Other(0);
    }
    match HaitheOrchestratorErrors::abi_decode(reason) {
        Ok(HaitheOrchestratorErrors::InsufficientFunds(_)) => SkipReason::InsufficientFunds,
        Ok(HaitheOrchestratorErrors::DailyCapExceeded(_)) => SkipReason::DailyCap,
        Ok(HaitheOrchestratorErrors::UnknownPayee(_) | HaitheOrchestratorErrors::PayeeIsPayer(_)) => {
            SkipReason::UnknownPayee
        }
        Ok(HaitheOrchestratorErrors::UnknownOrganization(_)) => SkipReason::UnknownOrganization,
        Ok(
            HaitheOrchestratorErrors::WrongAmountReceived(_)
            | HaitheOrchestratorErrors::SafeERC20FailedOperation(_),
        ) => SkipReason::TransferFailed,
        _ => SkipReason::Other(1),
    }
}

/// The receiver that the error names.
fn named(reason: &Bytes) -> Option<WalletAddress> {
    match HaitheOrchestratorErrors::abi_decode(reason) {
        Ok(HaitheOrchestratorErrors::UnknownPayee(error)) => Some(wallet(error.payee)),
        Ok(HaitheOrchestratorErrors::WrongAmountReceived(error)) => Some(wallet(error.to)),
        _ => None,
    }
}

fn number(value: U256) -> Option<u64> {
    u64::try_from(value).ok()
}

/// Keeps at most `limit` bytes, without control characters and without those that turn the
/// direction of writing, which make a text read as another.
fn clean(text: &str, limit: usize) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let mut kept = String::new();
    for c in text.chars().filter(|c| !c.is_control() && !turns(*c)) {
        if kept.len() + c.len_utf8() > limit {
            break;
        }
        kept.push(c);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::sol_types::SolError;
    use proptest::prelude::*;

    #[test]
    fn topics_of_others_are_unknown_and_broken_contents_are_broken() {
        assert_eq!(orchestrator(&[], &[]), Decoded::Unknown);
        assert_eq!(orchestrator(&[B256::repeat_byte(1)], &[]), Decoded::Unknown);
        assert_eq!(transfer(&[B256::repeat_byte(1)], &[]), Decoded::Unknown);
        assert_eq!(transfer(&[TRANSFER], &[]), Decoded::Broken);
        let created = HaitheOrchestrator::OrganizationCreated::SIGNATURE_HASH;
        assert_eq!(
            orchestrator(&[created, B256::ZERO, B256::ZERO], &[0xff; 64]),
            Decoded::Broken
        );
    }

    #[test]
    fn a_number_out_of_range_breaks_its_own_log() {
        let event = HaitheOrchestrator::OrganizationCreated {
            organization: Default::default(),
            owner: Default::default(),
            index: U256::MAX,
            name: "acme".to_owned(),
        };
        let log = event.encode_log_data();
        assert_eq!(orchestrator(log.topics(), &log.data), Decoded::Broken);
    }

    #[test]
    fn the_reason_of_a_skipped_line_is_read_from_its_error() {
        let org = alloy::primitives::Address::ZERO;
        let cap = HaitheOrchestrator::DailyCapExceeded {
            organization: org,
            cap: U256::ZERO,
            wouldBe: U256::ONE,
        };
        let payee = HaitheOrchestrator::UnknownPayee { payee: org };
        for (reason, expected) in [
            (cap.abi_encode(), SkipReason::DailyCap),
            (payee.abi_encode(), SkipReason::UnknownPayee),
            (Vec::new(), SkipReason::Other(0)),
            (vec![1, 2, 3, 4, 5], SkipReason::Other(1)),
            (vec![1], SkipReason::Other(1)),
        ] {
            assert_eq!(skip_reason(&reason.into()), expected);
        }
    }

    #[test]
    fn texts_are_stripped_and_cut_between_characters() {
        assert_eq!(clean("a\u{0}b\nc\u{9b}d\u{202e}e\u{feff}", 100), "abcde");
        assert_eq!(clean("\u{e4}\u{e4}\u{e4}", 5), "\u{e4}\u{e4}");
    }

    proptest! {
        #[test]
        fn no_log_panics(
            known in any::<prop::sample::Index>(), topics in prop::collection::vec(any::<[u8; 32]>(), 0..4),
            data in prop::collection::vec(any::<u8>(), 0..512),
        ) {
            let mut all = vec![B256::new(*known.get(Event::SELECTORS))];
            all.extend(topics.into_iter().map(B256::new));
            orchestrator(&all, &data);
            all[0] = TRANSFER;
            transfer(&all, &data);
        }
    }
}
