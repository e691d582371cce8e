//! Organizations: themselves, their owners, their daily caps.

use super::{
    ChainEvent, CreatedOrganization, Effect, EventBody, Hash32, IndexBinding, Located, OrgBalances,
    SkipReason, SkipState, products::address, suspension,
};
use crate::ledger::TokenScale;
use haithe_kernel::{OrgId, OrgUid, WalletAddress};
use sha2::{Digest, Sha256};
use uuid::Builder;

/// Stores an organization. `before` is what is at its address on the indexed chain.
pub fn create(event: &ChainEvent, before: Option<Located<OrgId>>, binding: &IndexBinding) -> Vec<Effect> {
    let EventBody::OrganizationCreated {
        index,
        org,
        owner,
        name,
    } = &event.body
    else {
        return Vec::new();
    };
    let mut effects = Vec::new();
    // From a branch of the chain that is gone, perhaps of another owner.
    if let Some(other) = before.filter(|other| other.created_tx != event.tx) {
        effects.push(Effect::ReplaceOrganization { org: other.id });
    }
    effects.push(Effect::CreateOrganization(CreatedOrganization {
        uid: organization_uid(binding, *org, &event.tx),
        address: *org,
        created_tx: event.tx,
        index: index.saturating_add(1),
        name: name.clone(),
        owner: *owner,
        created_at: event.block_time,
        block: event.block,
    }));
    effects
}

/// An organization's public identifier follows from where it was created, so that an index that is built anew
/// gives the same ones: 16 bytes of a SHA-256, as a UUID of version 8.
fn organization_uid(binding: &IndexBinding, org: WalletAddress, created_tx: &Hash32) -> OrgUid {
    let digest = Sha256::new()
        .chain_update(b"haithe organization")
        .chain_update(binding.chain_id.to_be_bytes())
        .chain_update(binding.orchestrator.as_bytes())
        .chain_update(org.as_bytes())
        .chain_update(created_tx)
        .finalize();
    let bytes = digest.first_chunk::<16>().copied().unwrap_or_default();
    OrgUid::new(Builder::from_custom_bytes(bytes).into_uuid())
}

/// What an event says about the owner of an organization that is on the indexed chain.
pub fn owner(event: &ChainEvent, org: OrgId) -> Option<Effect> {
    match event.body {
        EventBody::OwnershipOffered { to, .. } => Some(Effect::OfferOwnership { org, to: address(to) }),
        EventBody::OwnershipTransferred { to, .. } => Some(Effect::SetOwner { org, owner: to }),
        _ => None,
    }
}

/// The daily cap of an organization, in base units. The tightest cap now or scheduled is always the newest one:
/// a raise holds at once and drops what was scheduled, and a cut is below what is in force. A cap that covers what
/// is unsettled ends the count of lines that were skipped for the cap.
pub fn daily_cap(
    event: &ChainEvent,
    org: OrgId,
    balances: &OrgBalances,
    skips: &SkipState,
    scale: TokenScale,
) -> Vec<Effect> {
    let EventBody::DailyCapChanged { cap, .. } = event.body else {
        return Vec::new();
    };
    let cap = cap.filter(|cap| *cap < u128::MAX);
    let covered = scale.money(cap).is_none_or(|(cap, _)| cap >= balances.unsettled);
    let mut effects = vec![Effect::SetDailyCap { org, cap }];
    effects.extend(suspension::readmit(org, covered, SkipReason::DailyCap, skips));
    effects
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::tests::event;
    use haithe_kernel::{Decimals, Timestamp, Usdt};
    use haithe_orgs::model::ZERO_ADDRESS;

    const ORG: OrgId = OrgId(1);
    const CONTRACT: WalletAddress = WalletAddress::new([1; 20]);
    const BINDING: IndexBinding = IndexBinding {
        chain_id: 31_337,
        orchestrator: WalletAddress::new([0xee; 20]),
        confirmed: None,
        last_final: None,
    };

    fn created() -> ChainEvent {
        let body = EventBody::OrganizationCreated {
            index: 0,
            org: CONTRACT,
            owner: WalletAddress::new([2; 20]),
            name: "Acme".to_owned(),
        };
        event(10, 0, body)
    }

    #[test]
    fn the_public_identifier_follows_from_chain_orchestrator_contract_and_transaction() {
        let uid = |binding: &IndexBinding, org, tx| organization_uid(binding, org, &tx);
        let one = uid(&BINDING, CONTRACT, [1; 32]);
        let step = IndexBinding {
            confirmed: Some(5),
            ..BINDING
        };
        assert_eq!(uid(&step, CONTRACT, [1; 32]), one);
        let chain = IndexBinding {
            chain_id: 1,
            ..BINDING
        };
        let orchestrator = IndexBinding {
            orchestrator: CONTRACT,
            ..BINDING
        };
        for other in [
            uid(&chain, CONTRACT, [1; 32]),
            uid(&orchestrator, CONTRACT, [1; 32]),
            uid(&BINDING, ZERO_ADDRESS, [1; 32]),
            uid(&BINDING, CONTRACT, [2; 32]),
        ] {
            assert_ne!(other, one);
        }
    }

    #[test]
    fn another_organization_at_the_same_address_is_replaced() {
        let event = created();
        let located = |created_tx| Some(Located { id: ORG, created_tx });
        let replaces = |before| {
            matches!(
                create(&event, before, &BINDING)[..],
                [Effect::ReplaceOrganization { .. }, _]
            )
        };
        assert!(!replaces(None));
        assert!(!replaces(located(event.tx)));
        assert!(replaces(located([0xff; 32])));
        let [Effect::CreateOrganization(org)] = &create(&event, None, &BINDING)[..] else {
            panic!("one organization")
        };
        assert_eq!(org.index, 1, "the list counts from one");
    }

    #[test]
    fn an_offer_to_the_zero_address_takes_the_offer_back() {
        for (to, expected) in [(CONTRACT, Some(CONTRACT)), (ZERO_ADDRESS, None)] {
            let offered = EventBody::OwnershipOffered { org: CONTRACT, to };
            let effect = owner(&event(1, 0, offered), ORG);
            assert_eq!(
                effect,
                Some(Effect::OfferOwnership {
                    org: ORG,
                    to: expected
                })
            );
        }
    }

    #[test]
    fn a_cap_that_covers_what_is_unsettled_ends_the_count_of_skipped_lines() {
        let scale = TokenScale::of(Decimals::new(18).unwrap());
        let balances = OrgBalances {
            unsettled: Usdt::from_nano(30),
            ..OrgBalances::default()
        };
        let skips = SkipState {
            newest: Some(SkipReason::DailyCap),
            next_final: 4,
        };
        let nano = 1_000_000_000;
        for (cap, stored, admits) in [
            (Some(29 * nano), Some(29 * nano), false),
            (Some(30 * nano), Some(30 * nano), true),
            (Some(u128::MAX), None, true),
            (None, None, true),
        ] {
            let body = EventBody::DailyCapChanged {
                org: CONTRACT,
                cap,
                effective_at: Timestamp::from_seconds(0),
            };
            let effects = daily_cap(&event(1, 0, body), ORG, &balances, &skips, scale);
            assert_eq!(
                effects[0],
                Effect::SetDailyCap {
                    org: ORG,
                    cap: stored
                }
            );
            assert_eq!(effects.len() == 2, admits, "{cap:?}");
        }
    }
}
