//! Roles that contracts give, and what they mean here.
//!
//! What the contract says is kept as it is seen. Whether it sets the member's role here is decided by
//! [`chain_is_newest`].

use super::{ChainEvent, Effect, EventBody, RoleState};
use crate::outbox::TxPurpose;
use haithe_kernel::{OrgId, Timestamp, WalletAddress};
use haithe_orgs::{
    model::OrgRole,
    roles::{ChainRole, ChainRoleChange, Sight, chain_is_newest},
};

/// A role that the contract of `org` gave to a wallet or took from it. Roles in projects are no matter of the
/// chain: taking the role in the organization leaves them.
pub fn change(event: &ChainEvent, org: OrgId, state: &RoleState, sight: Sight) -> Vec<Effect> {
    let EventBody::RoleChanged { wallet, role, .. } = event.body else {
        return Vec::new();
    };
    let Some(given) = ChainRole::of_number(role) else {
        tracing::warn!(org = org.0, role, "unknown role number in a RoleChanged event");
        return Vec::new();
    };
    let noted = Effect::NoteChainRole { org, wallet, role };
    let decided = if is_newest(event, state, sight) {
        set(event, org, wallet, given.into())
    } else {
        Effect::ReopenDecision { org, wallet }
    };
    vec![noted, decided]
}

/// A new owner has no role, as the contract has it.
pub fn owner(event: &ChainEvent, org: OrgId, state: &RoleState, sight: Sight) -> Option<Effect> {
    let EventBody::OwnershipTransferred { to, .. } = event.body else {
        return None;
    };
    is_newest(event, state, sight).then(|| set(event, org, to, None))
}

fn set(event: &ChainEvent, org: OrgId, wallet: WalletAddress, role: Option<OrgRole>) -> Effect {
    Effect::SetRole {
        org,
        wallet,
        role,
        since: event.block_time,
        from_chain: true,
    }
}

fn is_newest(event: &ChainEvent, state: &RoleState, sight: Sight) -> bool {
    let change = ChainRoleChange {
        block: event.block,
        at: event.block_time,
        mirrors: state.sent_for == Some(TxPurpose::MirrorRole),
        overruled: state.overruled,
    };
    chain_is_newest(&change, state.decision.as_ref(), sight)
}

/// Before the event's block is dropped: a change in it that a decision made here overruled stays overruled.
pub fn keep_overruled(
    event: &ChainEvent,
    org: OrgId,
    wallet: WalletAddress,
    state: &RoleState,
) -> Option<Effect> {
    let overruled = state
        .decision
        .is_some_and(|decision| decision.overrules_block(event.block));
    overruled.then_some(Effect::KeepOverruled {
        tx: event.tx,
        org,
        wallet,
    })
}

/// After blocks were dropped, and before what remains is met again: the decision made here, if there is one, is
/// all that is known.
pub fn forget(org: OrgId, wallet: WalletAddress, state: &RoleState) -> Vec<Effect> {
    let set = |role, since| Effect::SetRole {
        org,
        wallet,
        role,
        since,
        from_chain: false,
    };
    let mut effects = vec![Effect::NoteChainRole { org, wallet, role: 0 }];
    if state.member_from_chain == Some(true) {
        effects.push(set(None, Timestamp::from_micros(0)));
    }
    let decided = state
        .decision
        .and_then(|decision| Some((decision.role?, decision.decided_at)));
    if let Some((role, since)) = decided
        && state.member_from_chain != Some(false)
    {
        effects.push(set(Some(role), since));
    }
    effects.push(Effect::ReopenDecision { org, wallet });
    effects
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::tests::event;
    use haithe_orgs::roles::RoleDecision;

    const ORG: OrgId = OrgId(1);
    const WALLET: WalletAddress = WalletAddress::new([2; 20]);

    fn changed(role: u8) -> ChainEvent {
        let body = EventBody::RoleChanged {
            org: WalletAddress::new([1; 20]),
            wallet: WALLET,
            role,
        };
        event(10, 0, body)
    }

    fn decided(role: Option<OrgRole>, after_block: u64) -> RoleState {
        RoleState {
            decision: Some(RoleDecision {
                role,
                decided_at: Timestamp::from_seconds(5),
                after_block: Some(after_block),
            }),
            member_from_chain: role.map(|_| false),
            ..RoleState::default()
        }
    }

    #[test]
    fn an_owners_change_sets_the_role_and_our_own_does_not() {
        let free = RoleState::default();
        let ours = RoleState {
            sent_for: Some(TxPurpose::MirrorRole),
            ..free
        };
        let other = RoleState {
            sent_for: Some(TxPurpose::SettleBatch),
            ..free
        };
        for (state, expected) in [(free, true), (ours, false), (other, true)] {
            let effects = change(&changed(2), ORG, &state, Sight::First);
            let set = Effect::SetRole {
                org: ORG,
                wallet: WALLET,
                role: Some(OrgRole::Admin),
                since: changed(2).block_time,
                from_chain: true,
            };
            let reopened = Effect::ReopenDecision {
                org: ORG,
                wallet: WALLET,
            };
            let noted = Effect::NoteChainRole {
                org: ORG,
                wallet: WALLET,
                role: 2,
            };
            assert_eq!(effects, [noted, if expected { set } else { reopened }]);
        }
    }

    #[test]
    fn a_role_that_does_not_exist_changes_nothing() {
        assert_eq!(change(&changed(9), ORG, &RoleState::default(), Sight::First), []);
    }

    #[test]
    fn a_decision_that_knew_the_block_keeps_it_overruled() {
        let keeps = |state: RoleState| keep_overruled(&changed(1), ORG, WALLET, &state).is_some();
        assert!(!keeps(RoleState::default()));
        assert!(!keeps(decided(None, 9)));
        assert!(keeps(decided(None, 10)));
    }

    #[test]
    fn without_the_chain_only_the_decision_is_left() {
        let roles = |state: &RoleState| -> Vec<Option<OrgRole>> {
            let effects = forget(ORG, WALLET, state);
            let role = |effect: &Effect| match effect {
                Effect::SetRole { role, .. } => Some(*role),
                _ => None,
            };
            effects.iter().filter_map(role).collect()
        };
        let from_chain = |state| RoleState {
            member_from_chain: Some(true),
            ..state
        };
        let member = Some(OrgRole::Member);
        assert_eq!(roles(&RoleState::default()), []);
        assert_eq!(roles(&from_chain(RoleState::default())), [None]);
        assert_eq!(roles(&decided(member, 1)), [], "it is as it was decided already");
        assert_eq!(roles(&from_chain(decided(member, 1))), [None, member]);
        let removed = RoleState {
            member_from_chain: None,
            ..decided(member, 1)
        };
        assert_eq!(roles(&removed), [member]);
        assert_eq!(roles(&from_chain(decided(None, 1))), [None]);
    }
}
