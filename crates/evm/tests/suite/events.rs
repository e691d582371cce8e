//! Everything the contracts can say arrives as it was meant, in order, and nothing else does.

use crate::fixture::{Chain, DAY, Line, alice, all_events, bob, carol, does, owner, server, wallet};
use alloy::{
    primitives::{Address, B256, U256},
    providers::Provider,
};
use haithe_billing::{
    chain::{EventBody, SkipReason},
    ports::ChainReader,
};
use haithe_evm::EvmChainReader;
use haithe_kernel::{Timestamp, WalletAddress};

/// A whole life: every event the index understands, in the order of its making.
struct Life {
    org: Address,
    product: Address,
    id: u64,
}

async fn live(chain: &Chain) -> Life {
    let (boss, hot) = (chain.actor(owner()), chain.actor(server()));
    let (alice, bob, carol) = (chain.actor(alice()), chain.actor(bob()), chain.actor(carol()));
    let org = alice.create_org("acme").await;
    let mine = alice.org(org);
    does!(mine.setRole(bob.address, 2));
    does!(mine.setDailyCap(U256::from(5_000)));
    hot.register(carol.address).await;
    let product = carol.add_product("wisdom", 70).await;
    does!(bob.org(org).enableProduct_1(product, U256::from(90)));
    does!(carol.product(product).setPricePerCall(U256::from(80)));
    does!(carol.product(product).setPricePerCall(U256::from(60)));
    does!(carol.product(product).setUri("ipfs://moved".to_owned()));
    does!(bob.org(org).disableProduct(product));
    does!(carol.product(product).retire());
    chain.fund(wallet(org), 1_000).await;
    let credit = crate::fixture::Credit {
        payee: carol.address,
        amount: "200".parse().unwrap(),
    };
    let paid = Line {
        org,
        platform: "300".parse().unwrap(),
        credits: vec![credit],
    };
    let skipped = Line {
        org,
        platform: "9000".parse().unwrap(),
        credits: Vec::new(),
    };
    does!(
        hot.orchestrator()
            .settleBatch(0, B256::repeat_byte(4), vec![paid, skipped])
    );
    let id = boss.orchestrator().creators(carol.address).call().await.unwrap();
    let identity = carol.identity().await;
    does!(identity.proposePayoutAddress(id, bob.address));
    does!(identity.cancelPayoutAddress(id));
    does!(identity.withdrawFunds(id));
    does!(
        boss.orchestrator()
            .withdrawPlatform(boss.address, U256::from(300))
    );
    does!(mine.requestWithdrawal(alice.address, U256::from(50)));
    does!(mine.cancelWithdrawal());
    does!(mine.requestWithdrawal(alice.address, U256::from(60)));
    // Blocks made in a hurry run ahead of the clock.
    chain.advance(DAY + 3_600).await;
    does!(mine.executeWithdrawal());
    does!(mine.transferOwnership(bob.address));
    does!(bob.org(org).acceptOwnership());
    does!(boss.orchestrator().pause());
    does!(boss.orchestrator().unpause());
    does!(boss.orchestrator().proposeServer(bob.address));
    chain.advance(2 * DAY).await;
    does!(bob.orchestrator().acceptServer());
    Life {
        org,
        product,
        id: id.to(),
    }
}

on_every_chain! {
    every_event_arrives_with_what_it_says,
    events_know_their_place,
    a_range_in_pieces_says_the_same_as_in_one,
    what_strangers_wrote_is_stripped_and_kept_short,
}

async fn every_event_arrives_with_what_it_says(chain: Chain) {
    let life = live(&chain).await;
    let events = all_events(&chain).await;
    let (org, product) = (wallet(life.org), wallet(life.product));
    let (alice, bob, carol) = (
        wallet(alice().address),
        wallet(bob().address),
        wallet(carol().address),
    );
    let orchestrator = chain.deployment.orchestrator;
    let text = str::to_owned;
    let mut bodies = events.iter().map(|event| event.body.clone());
    let mut next = || bodies.next().expect("there is another event");
    assert_eq!(
        next(),
        EventBody::ServerChanged {
            server: wallet(server().address)
        },
        "of the constructor"
    );
    assert_eq!(
        next(),
        EventBody::OrganizationCreated {
            index: 0,
            org,
            owner: alice,
            name: text("acme")
        }
    );
    let no_cap = next();
    assert!(
        matches!(no_cap, EventBody::DailyCapChanged { cap: None, .. }),
        "{no_cap:?}"
    );
    assert_eq!(
        next(),
        EventBody::RoleChanged {
            org,
            wallet: bob,
            role: 2
        }
    );
    let capped = next();
    assert!(
        matches!(capped, EventBody::DailyCapChanged { cap: Some(5_000), .. }),
        "{capped:?}"
    );
    assert_eq!(
        next(),
        EventBody::CreatorRegistered {
            creator: carol,
            id: life.id,
            uri: text("ipfs://creator"),
            pub_key: text("04ab"),
        }
    );
    assert_eq!(
        next(),
        EventBody::ProductAdded {
            index: 0,
            product,
            creator: carol,
            name: text("wisdom"),
            uri: text("ipfs://content"),
            encrypted_key: text("sealed"),
            category: text("knowledge:text"),
            price: Some(70),
        }
    );
    assert_eq!(
        next(),
        EventBody::ProductEnabled {
            org,
            product,
            max_price: Some(90)
        }
    );
    let scheduled = next();
    assert!(
        matches!(
            scheduled,
            EventBody::PriceScheduled {
                price: Some(70),
                next_price: Some(80),
                ..
            }
        ),
        "{scheduled:?}"
    );
    assert_eq!(
        next(),
        EventBody::PriceChanged {
            product,
            price: Some(60)
        }
    );
    assert_eq!(
        next(),
        EventBody::UriChanged {
            product,
            uri: text("ipfs://moved")
        }
    );
    assert_eq!(next(), EventBody::ProductDisabled { org, product });
    assert_eq!(next(), EventBody::ProductRetired { product });
    let zero = WalletAddress::new([0; 20]);
    assert_eq!(
        next(),
        EventBody::Transfer {
            from: zero,
            to: org,
            amount: Some(1_000)
        },
        "the deposit"
    );
    assert_eq!(
        next(),
        EventBody::Transfer {
            from: org,
            to: orchestrator,
            amount: Some(500)
        },
        "for platform and creator"
    );
    assert_eq!(
        next(),
        EventBody::LineSkipped {
            seq: 0,
            line: 1,
            org,
            amount: Some(9_000),
            reason: SkipReason::InsufficientFunds,
            payee: None,
        }
    );
    let settled = next();
    assert!(
        matches!(settled, EventBody::BatchSettled { seq: 0, root, total: Some(500), skipped: 1, .. } if root == [4; 32]),
        "{settled:?}"
    );
    let proposed = next();
    assert!(
        matches!(proposed, EventBody::PayoutAddressProposed { creator, payout, .. } if creator == carol && payout == bob),
        "{proposed:?}"
    );
    assert_eq!(next(), EventBody::PayoutAddressCancelled { creator: carol });
    assert_eq!(
        next(),
        EventBody::CreatorWithdrawn {
            creator: carol,
            amount: Some(200)
        }
    );
    assert_eq!(
        next(),
        EventBody::PlatformWithdrawn {
            to: wallet(owner().address),
            amount: Some(300)
        }
    );
    let requested = next();
    assert!(matches!(requested, EventBody::WithdrawalRequested { to, amount: Some(50), .. } if to == alice));
    assert_eq!(next(), EventBody::WithdrawalCancelled { org });
    let EventBody::WithdrawalRequested {
        amount: Some(60),
        ready_at,
        ..
    } = next()
    else {
        panic!("a request")
    };
    assert_eq!(
        next(),
        EventBody::WithdrawalExecuted {
            org,
            to: alice,
            amount: Some(60)
        }
    );
    assert_eq!(
        next(),
        EventBody::Transfer {
            from: org,
            to: alice,
            amount: Some(60)
        }
    );
    assert_eq!(next(), EventBody::OwnershipOffered { org, to: bob });
    assert_eq!(
        next(),
        EventBody::RoleChanged {
            org,
            wallet: bob,
            role: 0
        },
        "an owner needs no role"
    );
    assert_eq!(
        next(),
        EventBody::OwnershipTransferred {
            org,
            from: alice,
            to: bob
        }
    );
    assert_eq!(next(), EventBody::Paused);
    assert_eq!(next(), EventBody::Unpaused);
    assert_eq!(next(), EventBody::ServerChanged { server: bob });
    assert_eq!(bodies.next(), None);
    let executed = events
        .iter()
        .find(|event| matches!(event.body, EventBody::WithdrawalExecuted { .. }))
        .unwrap();
    assert!(executed.block_time >= ready_at && ready_at > Timestamp::from_seconds(1_600_000_000));
}

async fn events_know_their_place(chain: Chain) {
    live(&chain).await;
    let events = all_events(&chain).await;
    assert!(
        events.is_sorted_by_key(|event| (event.block, event.log_index)),
        "in the chain's order"
    );
    let reader = EvmChainReader::new(chain.client.clone());
    for event in &events {
        let block = reader.block(event.block).await.unwrap().unwrap();
        assert_eq!((block.hash, block.time), (event.block_hash, event.block_time));
        let receipt = chain
            .provider()
            .get_transaction_receipt(B256::new(event.tx))
            .await
            .unwrap()
            .unwrap();
        assert!(
            receipt
                .logs()
                .iter()
                .any(|log| log.log_index == Some(event.log_index))
        );
    }
}

async fn a_range_in_pieces_says_the_same_as_in_one(chain: Chain) {
    let life = live(&chain).await;
    let whole = all_events(&chain).await;
    let reader = EvmChainReader::new(chain.client.clone());
    let (mut pieces, mut orgs) = (Vec::new(), Vec::new());
    for block in 0..=chain.head().await {
        let events = reader.events(block, block, orgs.clone()).await.unwrap();
        if events
            .iter()
            .any(|event| matches!(event.body, EventBody::OrganizationCreated { .. }))
        {
            orgs.push(wallet(life.org));
        }
        pieces.extend(events);
    }
    assert_eq!(pieces, whole);
}

async fn what_strangers_wrote_is_stripped_and_kept_short(chain: Chain) {
    chain.actor(alice()).create_org("a\u{0}c\nm\u{202e}e\u{7f}").await;
    let events = all_events(&chain).await;
    let name = events.iter().find_map(|event| match &event.body {
        EventBody::OrganizationCreated { name, .. } => Some(name.clone()),
        _ => None,
    });
    assert_eq!(name.unwrap(), "acme");
}
