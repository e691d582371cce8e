//! [`RoleStore`] and [`AuditStore`]: what was decided about roles, what contracts say, who did what.

use crate::{
    database::{Database, NOON, on_every_database},
    world::{World, act, wallet},
};
use haithe_billing::{
    chain::EventBody,
    outbox::{NewTx, TxAttempt, TxPurpose},
};
use haithe_identity::api_key::{BudgetWindow, KeyBudget};
use haithe_kernel::{Page, Usdt};
use haithe_orgs::{
    AuditAction, Caller, ChainRole, OrgRole, OrgSettingsChange, Organization, PromptLog, members::decided,
    roles::RoleChange,
};

async fn open(db: &impl Database) -> Vec<RoleChange> {
    db.roles().open(10).await.unwrap()
}

async fn role(db: &impl Database, org: &Organization, number: u8) -> Option<OrgRole> {
    db.org_members().role(org.id, wallet(number)).await.unwrap()
}

fn says(org: &Organization, number: u8, role: u8) -> EventBody {
    EventBody::RoleChanged {
        org: org.address,
        wallet: wallet(number),
        role,
    }
}

/// The next transaction of the world, as one that our outbox sent to mirror a role.
async fn mirrors<D: Database>(world: &mut World<D>, org: &Organization, event: EventBody) {
    let (step, events) = world.next_block(vec![vec![event]]);
    let outbox = world.db.outbox();
    let tx = NewTx {
        key: format!("role/{}", events[0].block),
        purpose: TxPurpose::MirrorRole,
        signer: wallet(0xee),
        to: Some(org.address),
        data: vec![1],
        on_behalf: None,
        created_at: NOON,
    };
    let intent = outbox.enqueue(tx).await.unwrap();
    let attempt = TxAttempt {
        hash: events[0].tx,
        raw: vec![1],
        max_fee_per_gas: 1,
        max_priority_fee_per_gas: 1,
        gas_limit: 21_000,
        cancels: false,
        sent_at: NOON,
    };
    outbox.record_attempt(intent.id, attempt).await.unwrap();
    world.apply(step).await;
}

async fn a_decision_opens_a_change_until_it_is_settled(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let members = world.db.org_members();
    let roles = world.db.roles();
    let member = members
        .put_member(org.id, wallet(2), OrgRole::Member, decided(), act(wallet(1)))
        .await
        .unwrap();
    assert_eq!(member.on_chain, ChainRole::None);
    let change = open(&world.db).await.remove(0);
    let expected = RoleChange {
        org: org.id,
        contract: org.address,
        owns: false,
        address: wallet(2),
        wanted: ChainRole::Member,
        seen: ChainRole::None,
        version: 1,
        sent: None,
        decided_by: wallet(1),
    };
    assert_eq!(change, expected);
    roles.note_sent(org.id, wallet(2), 1).await.unwrap();
    assert_eq!(open(&world.db).await[0].sent, Some(1));
    members
        .remove_member(org.id, wallet(2), decided(), act(wallet(3)))
        .await
        .unwrap();
    assert!(
        !roles.settle(org.id, wallet(2), 1).await.unwrap(),
        "decided anew since"
    );
    let change = open(&world.db).await.remove(0);
    assert_eq!(
        (change.version, change.wanted, change.sent, change.decided_by),
        (2, ChainRole::None, Some(1), wallet(3))
    );
    assert!(roles.settle(org.id, wallet(2), 2).await.unwrap());
    assert!(open(&world.db).await.is_empty());
}

async fn our_own_transactions_change_what_is_seen_and_decide_nothing(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let members = world.db.org_members();
    members
        .put_member(org.id, wallet(2), OrgRole::Member, decided(), act(wallet(1)))
        .await
        .unwrap();
    // Removed again while the transaction that adds is on its way, and seemingly nothing is to do.
    members
        .remove_member(org.id, wallet(2), decided(), act(wallet(1)))
        .await
        .unwrap();
    world.db.roles().settle(org.id, wallet(2), 2).await.unwrap();
    mirrors(&mut world, &org, says(&org, 2, 1)).await;
    assert_eq!(
        role(&world.db, &org, 2).await,
        None,
        "a removed member stays removed"
    );
    let change = open(&world.db).await.remove(0);
    assert_eq!((change.wanted, change.seen), (ChainRole::None, ChainRole::Member));
    mirrors(&mut world, &org, says(&org, 2, 0)).await;
    assert_eq!(open(&world.db).await[0].seen, ChainRole::None);
}

async fn the_owners_transaction_decides_here_too(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    world.mine_one(says(&org, 2, 2)).await;
    assert_eq!(role(&world.db, &org, 2).await, Some(OrgRole::Admin));
    let members = world.db.org_members();
    let listed = members.members(org.id, Some(OrgRole::Admin), Page::FIRST);
    assert_eq!(listed.await.unwrap().items[0].on_chain, ChainRole::Admin);
    assert!(open(&world.db).await.is_empty(), "nobody has to be told");
    // Whoever becomes owner has no role beside it, as the contract has it.
    world
        .mine_one(EventBody::OwnershipTransferred {
            org: org.address,
            from: wallet(1),
            to: wallet(2),
        })
        .await;
    assert_eq!(role(&world.db, &org, 2).await, None);
    world.rewind(1).await;
    assert_eq!(role(&world.db, &org, 2).await, Some(OrgRole::Admin));
}

async fn a_reorganization_brings_no_removed_member_back(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    world.mine_one(says(&org, 2, 1)).await;
    let given = world.mine_one(says(&org, 2, 2)).await;
    let members = world.db.org_members();
    members
        .remove_member(org.id, wallet(2), decided(), act(wallet(1)))
        .await
        .unwrap();
    world.rewind(1).await;
    assert_eq!(role(&world.db, &org, 2).await, None);
    // The owner's old transaction is mined again.
    let (mut step, _) = world.next_block(vec![vec![given.body]]);
    step.events[0].tx = given.tx;
    world.apply(step).await;
    assert_eq!(role(&world.db, &org, 2).await, None, "it was overruled before");
    assert_eq!(open(&world.db).await[0].seen, ChainRole::Admin);
    // A new one decides.
    world.mine_one(says(&org, 2, 1)).await;
    assert_eq!(role(&world.db, &org, 2).await, Some(OrgRole::Member));
    world.rewind(1).await;
    assert_eq!(role(&world.db, &org, 2).await, None, "back to the decision");
}

async fn a_decision_survives_the_rewind_of_what_it_overruled(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let members = world.db.org_members();
    members
        .put_member(org.id, wallet(2), OrgRole::Member, decided(), act(wallet(1)))
        .await
        .unwrap();
    world.mine_one(says(&org, 2, 0)).await;
    assert_eq!(role(&world.db, &org, 2).await, None, "the owner's later word");
    world.rewind(1).await;
    assert_eq!(role(&world.db, &org, 2).await, Some(OrgRole::Member));
}

async fn an_offer_of_ownership_follows_the_chain(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let pending = async |db: &_| Database::orgs(db).pending_owner(org.id).await.unwrap();
    let offer = |to| EventBody::OwnershipOffered { org: org.address, to };
    world.mine_one(offer(wallet(2))).await;
    assert_eq!(pending(&world.db).await, Some(wallet(2)));
    world.mine_one(offer(wallet(0))).await;
    assert_eq!(pending(&world.db).await, None, "taken back");
    world.rewind(1).await;
    assert_eq!(pending(&world.db).await, Some(wallet(2)));
    let accepted = EventBody::OwnershipTransferred {
        org: org.address,
        from: wallet(1),
        to: wallet(2),
    };
    world.mine_one(accepted).await;
    assert_eq!(pending(&world.db).await, None);
    let found = world.db.orgs().find(org.id).await.unwrap().unwrap();
    assert_eq!(found.owner, wallet(2));
}

async fn every_write_leaves_one_line_and_what_changes_nothing_none(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let orgs = world.db.orgs();
    let members = world.db.org_members();
    let settings = world.db.org_settings();
    let from = Caller {
        address: wallet(1),
        ip: Some("203.0.113.9".parse().unwrap()),
        request: Some("req-1".into()),
    };
    let by = || from.clone().acts(NOON);
    for role in [OrgRole::Member, OrgRole::Admin, OrgRole::Admin] {
        members
            .put_member(org.id, wallet(2), role, decided(), by())
            .await
            .unwrap();
    }
    orgs.rename(org.id, "Bcme".into(), by()).await.unwrap();
    orgs.rename(org.id, "Bcme".into(), by()).await.unwrap();
    let logged = OrgSettingsChange {
        prompt_log: Some(PromptLog::Metadata),
        ..OrgSettingsChange::default()
    };
    settings.change_settings(org.id, logged, by()).await.unwrap();
    members
        .remove_member(org.id, wallet(2), decided(), by())
        .await
        .unwrap();
    members
        .remove_member(org.id, wallet(2), decided(), by())
        .await
        .unwrap();
    let all = world.db.audit().of_org(org.id, None, Page::FIRST).await.unwrap();
    let lines: Vec<_> = all.items.iter().map(|line| line.action).collect();
    let expected = [
        AuditAction::MemberRemoved,
        AuditAction::SettingsChanged,
        AuditAction::OrganizationRenamed,
        AuditAction::MemberChanged,
        AuditAction::MemberAdded,
    ];
    assert_eq!((lines.as_slice(), all.total), (expected.as_slice(), 5));
    let changed = AuditAction::MemberChanged;
    let audit = world.db.audit();
    let changed = audit.of_org(org.id, Some(changed), Page::FIRST);
    let line = changed.await.unwrap().items.remove(0);
    assert_eq!(line.act, by());
    assert_eq!(line.subject, Some(wallet(2).to_string()));
    assert_eq!(
        (line.before.as_deref(), line.after.as_deref()),
        (Some("member"), Some("admin"))
    );
    let second = Page::new(2, 3).unwrap();
    let second = world.db.audit().of_org(org.id, None, second).await.unwrap();
    assert_eq!((second.items.len(), second.total), (2, 5));
}

async fn what_was_mined_before_a_decision_and_is_seen_after_it_is_older(db: impl Database) {
    let mut world = World::over(db).await;
    let org = world.organization("Acme", wallet(1)).await;
    let late = Caller::from(wallet(1)).acts(NOON.plus(std::time::Duration::from_secs(60)));
    let members = world.db.org_members();
    members
        .put_member(org.id, wallet(2), OrgRole::Member, decided(), late)
        .await
        .unwrap();
    world.mine_one(says(&org, 2, 0)).await;
    assert_eq!(role(&world.db, &org, 2).await, Some(OrgRole::Member));
    assert_eq!(open(&world.db).await[0].seen, ChainRole::None);
}

async fn default_budgets_are_those_of_one_organization_or_of_all_of_the_wallet(db: impl Database) {
    let mut world = World::over(db).await;
    let (mine, other) = (
        world.organization("Acme", wallet(1)).await,
        world.organization("Bcme", wallet(2)).await,
    );
    let settings = world.db.org_settings();
    let members = world.db.org_members();
    let budget = |whole, window| KeyBudget {
        limit: Usdt::whole(whole),
        window,
    };
    for (org, owner, budget) in [
        (&mine, wallet(1), budget(5, BudgetWindow::Day)),
        (&other, wallet(2), budget(3, BudgetWindow::Total)),
    ] {
        let change = OrgSettingsChange {
            default_key_budget: Some(Some(budget)),
            ..OrgSettingsChange::default()
        };
        let act = Caller::from(owner).acts(NOON);
        let after = settings.change_settings(org.id, change, act).await.unwrap();
        assert_eq!(after.default_key_budget, Some(budget));
        assert_eq!(settings.settings(org.id).await.unwrap(), after);
    }
    let of = async |wallet, org| settings.default_key_budgets(wallet, org).await.unwrap();
    assert_eq!(of(wallet(1), None).await, [budget(5, BudgetWindow::Day)]);
    assert_eq!(of(wallet(3), None).await, []);
    assert_eq!(
        of(wallet(1), Some(other.id)).await,
        [budget(3, BudgetWindow::Total)]
    );
    members
        .put_member(
            other.id,
            wallet(1),
            OrgRole::Member,
            decided(),
            Caller::from(wallet(2)).acts(NOON),
        )
        .await
        .unwrap();
    assert_eq!(of(wallet(1), None).await.len(), 2);
    let clear = OrgSettingsChange {
        default_key_budget: Some(None),
        ..OrgSettingsChange::default()
    };
    let act = Caller::from(wallet(1)).acts(NOON);
    settings.change_settings(mine.id, clear, act).await.unwrap();
    assert_eq!(of(wallet(1), Some(mine.id)).await, []);
}

on_every_database!(
    default_budgets_are_those_of_one_organization_or_of_all_of_the_wallet,
    what_was_mined_before_a_decision_and_is_seen_after_it_is_older,
    a_decision_opens_a_change_until_it_is_settled,
    our_own_transactions_change_what_is_seen_and_decide_nothing,
    the_owners_transaction_decides_here_too,
    a_reorganization_brings_no_removed_member_back,
    a_decision_survives_the_rewind_of_what_it_overruled,
    an_offer_of_ownership_follows_the_chain,
    every_write_leaves_one_line_and_what_changes_nothing_none,
);
