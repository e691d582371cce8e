use super::*;
use crate::members::MemberFacts;
use crate::ports::{
    MockChainSync, MockOpenCalls, MockOrgDeployer, MockOrgMemberStore, MockOrgModelStore, MockOrgStore,
    MockOwnerTransactions, MockStandingStore,
};
use haithe_kernel::{Failure, FixedClock, OrgUid, Timestamp};
use std::collections::HashMap;

const OWNER: WalletAddress = WalletAddress::new([1; 20]);
const ADMIN: WalletAddress = WalletAddress::new([2; 20]);
const OTHER_ADMIN: WalletAddress = WalletAddress::new([3; 20]);
const MEMBER: WalletAddress = WalletAddress::new([4; 20]);
const STRANGER: WalletAddress = WalletAddress::new([5; 20]);
const ORG: OrgId = OrgId(1);

fn organization() -> Organization {
    Organization {
        id: ORG,
        uid: "0190a0b0c0d0e0f00102030405060708".parse::<OrgUid>().unwrap(),
        address: WalletAddress::new([9; 20]),
        orchestrator_index: 1,
        name: "acme".into(),
        owner: OWNER,
        created_at: Timestamp::from_seconds(0),
        deleted_at: None,
        confirmed: true,
    }
}

/// The stores of one organization with its owner, two admins and a member.
struct Stores {
    orgs: MockOrgStore,
    standings: MockStandingStore,
    members: MockOrgMemberStore,
    models: MockOrgModelStore,
}

fn stores() -> Stores {
    let roles = HashMap::from([
        (ADMIN, OrgRole::Admin),
        (OTHER_ADMIN, OrgRole::Admin),
        (MEMBER, OrgRole::Member),
    ]);
    let mut orgs = MockOrgStore::new();
    orgs.expect_find()
        .returning(|id| Ok((id == ORG).then(organization)));
    orgs.expect_count().returning(|| Ok(3));
    let mut standings = MockStandingStore::new();
    let standing = roles.clone();
    standings.expect_standing().returning(move |_, _, address| {
        Ok(Standing {
            owner: address == OWNER,
            org: standing.get(&address).copied(),
            ..Standing::default()
        })
    });
    let on_chain = |address| {
        if address == ADMIN {
            ChainRole::Admin
        } else {
            ChainRole::None
        }
    };
    let members = roles.clone();
    let facts = move |by: WalletAddress, member: WalletAddress| MemberFacts {
        standing: Standing {
            owner: by == OWNER,
            org: members.get(&by).copied(),
            ..Standing::default()
        },
        owner: Some(OWNER),
        present: members.get(&member).copied(),
    };
    let of = facts.clone();
    let mut members_of_org = MockOrgMemberStore::new();
    members_of_org
        .expect_put_member()
        .returning(move |org, address, role, judge, act| {
            judge(of(act.by.address, address))?;
            Ok(OrgMember {
                org,
                address,
                role,
                created_at: act.at,
                on_chain: on_chain(address),
            })
        });
    members_of_org
        .expect_remove_member()
        .returning(move |org, address, judge, act| {
            judge(facts(act.by.address, address))?;
            let member = |role: &OrgRole| OrgMember {
                org,
                address,
                role: *role,
                created_at: Timestamp::from_seconds(0),
                on_chain: on_chain(address),
            };
            Ok(roles.get(&address).map(member))
        });
    Stores {
        orgs,
        standings,
        members: members_of_org,
        models: MockOrgModelStore::new(),
    }
}

fn organizations(stores: Stores, deployer: MockOrgDeployer) -> Organizations {
    let mut calls = MockOpenCalls::new();
    calls.expect_are_open().returning(|_| Ok(false));
    organizations_with(stores, deployer, calls)
}

fn organizations_with(stores: Stores, deployer: MockOrgDeployer, calls: MockOpenCalls) -> Organizations {
    let mut chain = MockChainSync::new();
    chain.expect_catch_up().returning(|| true);
    let mut transactions = MockOwnerTransactions::new();
    transactions.expect_encode().returning(|from, to, call| {
        let OwnerCall::SetRole { account, role } = call else {
            panic!("only roles are set here")
        };
        UnsignedTransaction {
            from,
            to,
            data: [account.as_bytes().as_slice(), &[role.number()]].concat(),
            chain_id: 1,
            summary: call.summary(from, to),
        }
    });
    let clock = FixedClock::at(Timestamp::from_seconds(1_700_000_000));
    let ports = OrganizationPorts {
        orgs: Arc::new(stores.orgs),
        standings: Arc::new(stores.standings),
        members: Arc::new(stores.members),
        models: Arc::new(stores.models),
        deployer: Arc::new(deployer),
        transactions: Arc::new(transactions),
        chain: Arc::new(chain),
        calls: Arc::new(calls),
        clock: Arc::new(clock),
    };
    Organizations::new(ports, ModelId(1))
}

fn plain() -> Organizations {
    organizations(stores(), MockOrgDeployer::new())
}

fn code<T: std::fmt::Debug>(result: Result<T, OrgError>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}

#[tokio::test]
async fn a_stranger_and_a_missing_organization_get_the_same_answer() {
    let orgs = plain();
    let foreign = orgs.authorize(STRANGER, ORG, Action::ReadOrg).await.unwrap_err();
    let missing = orgs
        .authorize(STRANGER, OrgId(2), Action::ReadOrg)
        .await
        .unwrap_err();
    assert_eq!(
        (foreign.kind(), foreign.code(), foreign.to_string()),
        (missing.kind(), missing.code(), missing.to_string())
    );
}

#[tokio::test]
async fn only_the_owner_touches_admins_and_nobody_touches_the_owner() {
    let orgs = plain();
    let new = WalletAddress::new([7; 20]);
    for (caller, address, role, expected) in [
        (OWNER, new, OrgRole::Admin, "ok"),
        (ADMIN, new, OrgRole::Admin, "forbidden"),
        (ADMIN, new, OrgRole::Member, "ok"),
        (MEMBER, new, OrgRole::Member, "forbidden"),
        (STRANGER, new, OrgRole::Member, "not_found"),
        (OWNER, OWNER, OrgRole::Admin, "owner_is_on_chain"),
        (ADMIN, MEMBER, OrgRole::Member, "already_a_member"),
    ] {
        assert_eq!(
            code(orgs.add_member(caller, ORG, address, role).await),
            expected,
            "{caller} adds {address} as {role}"
        );
    }
    for (caller, address, role, expected) in [
        (OWNER, ADMIN, OrgRole::Member, "ok"),
        (ADMIN, OTHER_ADMIN, OrgRole::Member, "forbidden"),
        (ADMIN, MEMBER, OrgRole::Admin, "forbidden"),
        (OWNER, new, OrgRole::Member, "not_a_member"),
    ] {
        assert_eq!(
            code(orgs.change_member(caller, ORG, address, role).await),
            expected,
            "{caller} makes {address} {role}"
        );
    }
    for (caller, address, expected) in [
        (ADMIN, OTHER_ADMIN, "forbidden"),
        (ADMIN, OWNER, "owner_is_on_chain"),
        (ADMIN, MEMBER, "ok"),
        (ADMIN, ADMIN, "ok"),
        (MEMBER, MEMBER, "ok"),
        (MEMBER, ADMIN, "forbidden"),
        (OWNER, OWNER, "owner_is_on_chain"),
    ] {
        assert_eq!(
            code(orgs.remove_member(caller, ORG, address).await),
            expected,
            "{caller} removes {address}"
        );
    }
}

#[tokio::test]
async fn a_deployed_organization_is_returned_with_the_default_model_enabled() {
    let mut stores = stores();
    stores
        .orgs
        .expect_find_by_address()
        .returning(|address| Ok((address == organization().address).then(organization)));
    stores
        .models
        .expect_enable_default_model()
        .withf(|_, model, _| *model == ModelId(1))
        .once()
        .returning(|_, _, _| Ok(()));
    let mut deployer = MockOrgDeployer::new();
    deployer
        .expect_deploy()
        .withf(|name, owner, network| name == "acme" && *owner == OWNER && network.is_none())
        .returning(|_, _, _| Ok(organization().address));
    let (org, count) = organizations(stores, deployer)
        .deploy(OWNER, " acme ", None)
        .await
        .unwrap();
    assert_eq!((org.id, count), (ORG, 3));
}

#[tokio::test]
async fn a_name_that_cannot_be_shown_never_reaches_the_chain() {
    let mut deployer = MockOrgDeployer::new();
    deployer.expect_deploy().never();
    let orgs = organizations(stores(), deployer);
    for name in ["", " ", "a\u{0}b", &"x".repeat(65)] {
        assert_eq!(code(orgs.deploy(OWNER, name, None).await), "invalid_name");
    }
}

#[tokio::test]
async fn an_organization_with_calls_in_flight_is_not_deleted() {
    let mut stores = stores();
    stores.orgs.expect_delete().never();
    let mut calls = MockOpenCalls::new();
    calls.expect_are_open().returning(|org| Ok(org == ORG));
    let orgs = organizations_with(stores, MockOrgDeployer::new(), calls);
    assert_eq!(code(orgs.delete(OWNER, ORG).await), "calls_in_flight");
}

#[tokio::test]
async fn only_the_owner_deletes_an_organization_without_calls() {
    let mut stores = stores();
    stores
        .orgs
        .expect_delete()
        .returning(|_, _| Ok(Some(organization())));
    let orgs = organizations(stores, MockOrgDeployer::new());
    for (caller, answer) in [
        (STRANGER, "not_found"),
        (MEMBER, "forbidden"),
        (ADMIN, "forbidden"),
        (OWNER, "ok"),
    ] {
        assert_eq!(code(orgs.delete(caller, ORG).await), answer, "{caller}");
    }
}

#[tokio::test]
async fn the_owner_signs_what_the_server_may_not_say_on_chain() {
    let orgs = plain();
    let new = WalletAddress::new([7; 20]);
    // ADMIN is administrator on chain, too; the others have no role there.
    let signed = |change: MemberChange| {
        let transaction = change.transaction?;
        assert_eq!(
            (transaction.from, transaction.to),
            (OWNER, organization().address)
        );
        Some(transaction.data.last().copied().unwrap())
    };
    let appointed = orgs.add_member(OWNER, ORG, new, OrgRole::Admin).await.unwrap();
    assert_eq!(signed(appointed), Some(2));
    let invited = orgs.add_member(OWNER, ORG, new, OrgRole::Member).await.unwrap();
    assert_eq!(signed(invited), None, "the server sees to plain members");
    let demoted = orgs
        .change_member(OWNER, ORG, ADMIN, OrgRole::Member)
        .await
        .unwrap();
    assert_eq!(signed(demoted), Some(1));
    let removed = orgs.remove_member(OWNER, ORG, ADMIN).await.unwrap();
    assert_eq!(signed(removed), Some(0));
    let left = orgs.remove_member(ADMIN, ORG, ADMIN).await.unwrap();
    assert_eq!(signed(left), None, "it cannot sign for the owner");
    let nobody = orgs
        .add_member(OWNER, ORG, crate::model::ZERO_ADDRESS, OrgRole::Member)
        .await;
    assert_eq!(code(nobody), "zero_address");
}
