//! What most tests begin with: organizations with money, creators, products, a settled batch.

use alloy::{
    primitives::{Address, B256, U256, aliases::U96},
    rpc::types::TransactionReceipt,
};

use crate::{
    bindings::{Credit, HaitheOrchestrator, Line},
    world::{People, Person, World, event},
};

/// A root for batches whose receipts do not matter.
pub const ANY_ROOT: B256 = B256::repeat_byte(0x11);

/// A line that pays the platform and others.
pub fn line(org: Address, platform: U256, credits: &[(Address, U256)]) -> Line {
    let credits = credits
        .iter()
        .map(|(payee, amount)| Credit {
            payee: *payee,
            amount: amount.to::<U96>(),
        })
        .collect();
    Line {
        org,
        platform: platform.to::<U96>(),
        credits,
    }
}

impl World {
    /// An organization of `owner` that holds `whole` tokens.
    pub async fn organization(&self, name: &str, owner: &Person, whole: u64) -> Address {
        let receipt = self
            .act(owner, self.hub.createOrganization(name.to_owned()))
            .await;
        let created: HaitheOrchestrator::OrganizationCreated = event(&receipt);
        self.deposit(created.organization, self.usdt(whole)).await;
        created.organization
    }

    /// Somebody pays `amount` base units in.
    pub async fn deposit(&self, to: Address, amount: U256) {
        self.act(&self.people.operator, self.token.mint(to, amount)).await;
    }

    /// Registers `creator`; returns the identity.
    pub async fn creator(&self, creator: &Person) -> U256 {
        let seed = self
            .identity
            .determineNextSeed(creator.address)
            .call()
            .await
            .unwrap();
        let call = self.hub.registerAsCreator(
            creator.address,
            "https://me.example".into(),
            seed,
            "0x04ab".into(),
        );
        let registered: HaitheOrchestrator::CreatorRegistered =
            event(&self.act(&self.people.server, call).await);
        registered.id
    }

    /// A product of a registered creator.
    pub async fn product_of(&self, creator: &Person, name: &str, price: U256) -> Address {
        let call = self.hub.addProduct(
            name.to_owned(),
            "https://content.example/1".into(),
            "00".into(),
            "ab".into(),
            "knowledge:text".into(),
            price,
        );
        let added: HaitheOrchestrator::ProductAdded = event(&self.act(creator, call).await);
        added.product
    }

    /// The server settles the next batch.
    pub async fn settle(&self, lines: Vec<Line>) -> TransactionReceipt {
        let seq = self.hub.nextBatch().call().await.unwrap();
        self.act(&self.people.server, self.hub.settleBatch(seq, ANY_ROOT, lines))
            .await
    }

    /// The active time now, in seconds.
    pub async fn active_time(&self) -> u64 {
        self.hub.activeTime().call().await.unwrap()
    }
}

/// Lets every event happen once.
pub async fn everything_happens(world: &World) {
    use crate::world::{DAY, DELAY};
    let People {
        operator,
        server,
        guardian,
        alice,
        bob,
        walter,
        cora,
        ..
    } = &world.people;
    let (hub, identity) = (&world.hub, &world.identity);
    let org = world.org(world.organization("acme", alice, 100).await);
    let id = world.creator(cora).await;
    let product = world.product_of(cora, "book", world.usdt(1)).await;
    world.act(alice, org.enableProduct_0(product)).await;
    world.act(alice, org.setRole(walter.address, 2)).await;
    world.act(server, org.setRoleFor(bob.address, 1)).await;
    world.act(alice, org.setDailyCap(world.usdt(90))).await;
    world
        .settle(vec![line(
            *org.address(),
            world.usdt(1),
            &[(cora.address, world.usdt(1))],
        )])
        .await;
    world
        .settle(vec![line(operator.address, world.usdt(1), &[])])
        .await;
    world.act(cora, identity.withdrawFunds(id)).await;
    let escrow = line(*hub.address(), U256::ZERO, &[(cora.address, U256::ONE)]);
    world.settle(vec![escrow]).await;
    world
        .act(operator, hub.withdrawPlatform(operator.address, U256::ONE))
        .await;
    world
        .act(cora, identity.proposePayoutAddress(id, walter.address))
        .await;
    world.act(cora, identity.cancelPayoutAddress(id)).await;
    world.deposit(*hub.address(), world.usdt(1)).await;
    world
        .act(
            operator,
            hub.recoverStray(*world.token.address(), operator.address),
        )
        .await;
    world
        .act(alice, org.requestWithdrawal(alice.address, world.usdt(1)))
        .await;
    world.act(alice, org.cancelWithdrawal()).await;
    world
        .act(alice, org.requestWithdrawal(alice.address, world.usdt(1)))
        .await;
    world.chain.advance_time(DELAY);
    world.act(alice, org.executeWithdrawal()).await;
    let funded_before = hub.predictOrganization(bob.address).call().await.unwrap();
    world.deposit(funded_before, world.usdt(1)).await;
    world.organization("late", bob, 0).await;
    let product_contract = world.product(product);
    for whole in [2, 1] {
        world
            .act(cora, product_contract.setPricePerCall(world.usdt(whole)))
            .await;
    }
    world
        .act(cora, product_contract.setUri("https://content.example/2".into()))
        .await;
    world.act(cora, product_contract.retire()).await;
    world.act(alice, org.disableProduct(product)).await;
    world.act(alice, org.transferOwnership(bob.address)).await;
    world.act(bob, org.acceptOwnership()).await;
    world.act(guardian, hub.pause()).await;
    world.act(operator, hub.unpause()).await;
    world.act(operator, hub.proposeServer(walter.address)).await;
    world.chain.advance_time(DELAY + DAY);
    world.act(walter, hub.acceptServer()).await;
    world.act(operator, hub.transferOwnership(alice.address)).await;
    world.act(alice, hub.acceptOwnership()).await;
}
