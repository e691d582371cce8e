//! The owner, the server and the guardian: who appoints whom, how fast, and what a pause stops.

use alloy::primitives::{Address, U256};

use crate::{
    bindings::HaitheOrchestrator,
    scene::{ANY_ROOT, line},
    world::{DAY, DELAY, HOUR, NOTICE, People, World, event},
};

#[tokio::test]
async fn a_new_server_waits_until_everybody_could_leave_and_accepts_itself() {
    let world = World::plain().await;
    let People {
        operator,
        server,
        walter: next,
        mallory,
        ..
    } = &world.people;
    let receipt = world.act(operator, world.hub.proposeServer(next.address)).await;
    let proposed: HaitheOrchestrator::ServerChangeProposed = event(&receipt);
    assert_eq!(
        (proposed.newServer, proposed.readyAt),
        (next.address, world.chain.head_time() + DELAY + DAY)
    );

    let _: HaitheOrchestrator::NotPendingServer = world.refused(mallory, world.hub.acceptServer()).await;
    let early: HaitheOrchestrator::ServerChangeTooEarly = world.refused(next, world.hub.acceptServer()).await;
    assert_eq!(early.readyAt, U256::from(proposed.readyAt));
    world.next_block_at(proposed.readyAt - 1);
    assert!(!world.attempt(next, world.hub.acceptServer()).await.status());
    let receipt = world.attempt(next, world.hub.acceptServer()).await;

    let changed: HaitheOrchestrator::ServerChanged = event(&receipt);
    assert_eq!(
        (changed.previousServer, changed.newServer),
        (server.address, next.address)
    );
    let org = world.organization("acme", &world.people.alice, 10).await;
    let lines = || vec![line(org, world.usdt(1), &[])];
    let _: HaitheOrchestrator::NotServer = world
        .refused(server, world.hub.settleBatch(0, ANY_ROOT, lines()))
        .await;
    world.act(next, world.hub.settleBatch(0, ANY_ROOT, lines())).await;
    let _: HaitheOrchestrator::NotPendingServer = world.refused(next, world.hub.acceptServer()).await;
}

#[tokio::test]
async fn a_proposal_can_be_taken_back_and_a_new_one_waits_anew() {
    let world = World::plain().await;
    let People {
        operator,
        walter: next,
        mallory,
        ..
    } = &world.people;
    world
        .act(operator, world.hub.proposeServer(mallory.address))
        .await;
    world.chain.advance_time(DELAY + DAY);
    world.act(operator, world.hub.proposeServer(Address::ZERO)).await;
    let _: HaitheOrchestrator::NotPendingServer = world.refused(mallory, world.hub.acceptServer()).await;
    world.act(operator, world.hub.proposeServer(next.address)).await;
    let _: HaitheOrchestrator::ServerChangeTooEarly = world.refused(next, world.hub.acceptServer()).await;
}

#[tokio::test]
async fn a_stolen_server_key_is_replaced_within_one_pause() {
    let world = World::plain().await;
    let People {
        operator,
        guardian,
        server: thief,
        walter: next,
        ..
    } = &world.people;
    let org = world.organization("acme", &world.people.alice, 10).await;
    world.act(guardian, world.hub.pause()).await;
    world.act(operator, world.hub.proposeServer(next.address)).await;
    world.chain.advance_time(DELAY + DAY);
    let _: HaitheOrchestrator::EnforcedPause = world
        .refused(
            thief,
            world
                .hub
                .settleBatch(0, ANY_ROOT, vec![line(org, world.usdt(1), &[])]),
        )
        .await;
    world.act(next, world.hub.acceptServer()).await;
    world.act(operator, world.hub.unpause()).await;
    let _: HaitheOrchestrator::NotServer = world
        .refused(
            thief,
            world
                .hub
                .settleBatch(0, ANY_ROOT, vec![line(org, world.usdt(1), &[])]),
        )
        .await;
}

#[tokio::test]
async fn only_the_owner_appoints_unpauses_and_takes_the_platforms_share() {
    let world = World::plain().await;
    let people = &world.people;
    world.act(&people.guardian, world.hub.pause()).await;
    for person in [&people.server, &people.guardian, &people.alice, &people.mallory] {
        let me = person.address;
        type Refusal = HaitheOrchestrator::OwnableUnauthorizedAccount;
        let _: Refusal = world.refused(person, world.hub.proposeServer(me)).await;
        let _: Refusal = world.refused(person, world.hub.setGuardian(me)).await;
        let _: Refusal = world.refused(person, world.hub.unpause()).await;
        let _: Refusal = world
            .refused(person, world.hub.withdrawPlatform(me, U256::ONE))
            .await;
        let _: Refusal = world
            .refused(person, world.hub.recoverStray(*world.token.address(), me))
            .await;
        let _: Refusal = world.refused(person, world.hub.transferOwnership(me)).await;
    }
}

#[tokio::test]
async fn the_guardian_and_the_owner_pause_and_nobody_else() {
    let world = World::plain().await;
    let people = &world.people;
    for person in [&people.server, &people.alice, &people.mallory] {
        let _: HaitheOrchestrator::NotGuardian = world.refused(person, world.hub.pause()).await;
    }
    let receipt = world.act(&people.guardian, world.hub.pause()).await;
    let paused: HaitheOrchestrator::Paused = event(&receipt);
    assert_eq!(
        (paused.account, paused.endsAt),
        (people.guardian.address, world.chain.head_time() + 7 * DAY)
    );
    let _: HaitheOrchestrator::EnforcedPause = world.refused(&people.guardian, world.hub.pause()).await;
    let _: HaitheOrchestrator::Unpaused = event(&world.act(&people.operator, world.hub.unpause()).await);
    let _: HaitheOrchestrator::ExpectedPause = world.refused(&people.operator, world.hub.unpause()).await;
    world.act(&people.operator, world.hub.pause()).await;
    world
        .act(&people.operator, world.hub.setGuardian(people.walter.address))
        .await;
    world.act(&people.operator, world.hub.unpause()).await;
    let _: HaitheOrchestrator::NotGuardian = world.refused(&people.guardian, world.hub.pause()).await;
    world.act(&people.walter, world.hub.pause()).await;
}

#[tokio::test]
async fn a_pause_ends_by_itself_after_seven_days() {
    let world = World::plain().await;
    let org = world.organization("acme", &world.people.alice, 10).await;
    let pay = || {
        world
            .hub
            .settleBatch(0, ANY_ROOT, vec![line(org, world.usdt(1), &[])])
    };
    world.act(&world.people.guardian, world.hub.pause()).await;
    let end = world.hub.pauseEndsAt().call().await.unwrap();
    assert_eq!(end, world.chain.head_time() + 7 * DAY);
    world.next_block_at(end - 1);
    assert!(!world.attempt(&world.people.server, pay()).await.status());
    assert!(world.attempt(&world.people.server, pay()).await.status());
    assert!(!world.hub.paused().call().await.unwrap());
}

#[tokio::test]
async fn pauses_cannot_be_strung_together() {
    let world = World::plain().await;
    let guardian = &world.people.guardian;
    world.act(guardian, world.hub.pause()).await;
    let end = world.hub.pauseEndsAt().call().await.unwrap();
    world.chain.advance_time(5 * DAY);
    world.act(&world.people.operator, world.hub.unpause()).await;
    world.chain.advance_time(DAY);
    world.act(guardian, world.hub.pause()).await;
    assert_eq!(
        world.hub.pauseEndsAt().call().await.unwrap(),
        end,
        "the series began with the first"
    );

    world.next_block_at(end + HOUR);
    let ready_at = end + DELAY + DAY;
    for person in [guardian, &world.people.operator] {
        let cooling: HaitheOrchestrator::PauseCoolingDown = world.refused(person, world.hub.pause()).await;
        assert_eq!(cooling.readyAt, U256::from(ready_at));
    }
    world.next_block_at(ready_at - 1);
    assert!(!world.attempt(guardian, world.hub.pause()).await.status());
    assert!(world.attempt(guardian, world.hub.pause()).await.status());
    assert_eq!(world.hub.pauseEndsAt().call().await.unwrap(), ready_at + 7 * DAY);
}

#[tokio::test]
async fn between_two_pauses_an_owner_can_request_and_withdraw() {
    let world = World::plain().await;
    let People { alice, guardian, .. } = &world.people;
    let org = world.org(world.organization("acme", alice, 10).await);
    world.act(guardian, world.hub.pause()).await;
    world.chain.advance_time(7 * DAY);
    world
        .act(alice, org.requestWithdrawal(alice.address, world.usdt(10)))
        .await;
    world.chain.advance_time(DELAY);
    assert!(!world.attempt(guardian, world.hub.pause()).await.status());
    world.act(alice, org.executeWithdrawal()).await;
}

#[tokio::test]
async fn active_time_skips_every_pause_whole() {
    let world = World::plain().await;
    let People {
        operator, guardian, ..
    } = &world.people;
    let mut skipped = 0;
    for pause in 0..4 {
        let running_out = pause % 2 == 0;
        world.act(guardian, world.hub.pause()).await;
        let since = world.chain.head_time();
        let at = world.active_time().await;
        world.chain.advance_time(DAY);
        assert_eq!(world.active_time().await, at);
        let until = if running_out {
            let end = world.hub.pauseEndsAt().call().await.unwrap();
            world.next_block_at(end + DAY);
            end
        } else {
            world.act(operator, world.hub.unpause()).await;
            world.chain.head_time()
        };
        skipped += until - since;
        assert_eq!(world.active_time().await, world.chain.head_time() - skipped);
        world.chain.advance_time(20 * DAY);
        assert_eq!(world.active_time().await, world.chain.head_time() - skipped);
    }
}

#[tokio::test]
async fn a_pause_stops_the_server_and_withdrawals_and_nothing_else() {
    let world = World::plain().await;
    let People {
        operator,
        server,
        guardian,
        alice,
        cora,
        cleo,
        walter,
        ..
    } = &world.people;
    let org = world.org(world.organization("acme", alice, 10).await);
    let id = world.creator(cora).await;
    world
        .settle(vec![line(
            *org.address(),
            world.usdt(1),
            &[(cora.address, world.usdt(2))],
        )])
        .await;
    world
        .act(alice, org.requestWithdrawal(alice.address, world.usdt(1)))
        .await;
    world.chain.advance_time(DELAY);
    world.act(guardian, world.hub.pause()).await;

    type Paused = HaitheOrchestrator::EnforcedPause;
    let _: Paused = world
        .refused(server, world.hub.settleBatch(1, ANY_ROOT, vec![]))
        .await;
    let seed = world
        .identity
        .determineNextSeed(cleo.address)
        .call()
        .await
        .unwrap();
    let register = world
        .hub
        .registerAsCreator(cleo.address, String::new(), seed, String::new());
    let _: Paused = world.refused(server, register).await;
    let create = world.hub.createOrganizationFor("other".into(), walter.address);
    let _: Paused = world.refused(server, create).await;
    let _: Paused = world.refused(server, org.setRoleFor(walter.address, 1)).await;
    let _: Paused = world.refused(alice, org.executeWithdrawal()).await;

    world.act(cora, world.identity.withdrawFunds(id)).await;
    world
        .act(operator, world.hub.withdrawPlatform(operator.address, U256::ONE))
        .await;
    world.act(alice, org.cancelWithdrawal()).await;
    world
        .act(alice, org.requestWithdrawal(alice.address, world.usdt(1)))
        .await;
    world.act(alice, org.setRole(walter.address, 2)).await;
    world
        .act(walter, world.hub.createOrganization("third".into()))
        .await;
    world
        .act(cleo, world.hub.registerCreator(String::new(), String::new()))
        .await;
    let product = world.product_of(cora, "book", U256::ONE).await;
    world.act(walter, org.enableProduct_0(product)).await;
}

#[tokio::test]
async fn the_orchestrators_owner_changes_in_two_steps_and_cannot_vanish() {
    let world = World::plain().await;
    let People {
        operator,
        walter: next,
        mallory,
        ..
    } = &world.people;
    let _: HaitheOrchestrator::OwnershipCannotBeRenounced =
        world.refused(operator, world.hub.renounceOwnership()).await;
    world
        .act(operator, world.hub.transferOwnership(next.address))
        .await;
    assert_eq!(world.hub.owner().call().await.unwrap(), operator.address);
    let _: HaitheOrchestrator::OwnableUnauthorizedAccount =
        world.refused(mallory, world.hub.acceptOwnership()).await;
    world.act(next, world.hub.acceptOwnership()).await;
    assert_eq!(world.hub.owner().call().await.unwrap(), next.address);
}

#[tokio::test]
async fn the_constructor_refuses_what_could_not_work() {
    let world = World::plain().await;
    let People {
        operator,
        server,
        guardian,
        ..
    } = &world.people;
    let token = *world.token.address();
    let deploy_with = |token: Address, owner: Address, server: Address, delay: u64, notice: u64| {
        let call = HaitheOrchestrator::deploy_builder(
            &world.provider,
            token,
            owner,
            server,
            guardian.address,
            delay,
            U256::MAX,
            notice,
        );
        world.simulate(operator, call.into_transaction_request())
    };
    let deploy = |token, owner, server, delay| deploy_with(token, owner, server, delay, NOTICE);
    use alloy::sol_types::SolError;
    let (me, key) = (operator.address, server.address);
    let error = deploy(me, me, key, DELAY).await.unwrap_err();
    assert!(HaitheOrchestrator::NotAToken::abi_decode(&error).is_ok());
    let error = deploy(token, me, Address::ZERO, DELAY).await.unwrap_err();
    assert!(HaitheOrchestrator::ZeroAddress::abi_decode(&error).is_ok());
    for delay in [0, 5 * DAY + 1] {
        let error = deploy(token, me, key, delay).await.unwrap_err();
        assert!(HaitheOrchestrator::BadDelay::abi_decode(&error).is_ok());
    }
    for delay in [1, 5 * DAY] {
        assert!(deploy(token, me, key, delay).await.is_ok());
    }
    for notice in [0, 30 * DAY + 1] {
        let error = deploy_with(token, me, key, DELAY, notice).await.unwrap_err();
        assert!(HaitheOrchestrator::BadDelay::abi_decode(&error).is_ok());
    }
    for notice in [1, 30 * DAY] {
        assert!(deploy_with(token, me, key, DELAY, notice).await.is_ok());
    }
}
