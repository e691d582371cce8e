//! The same steps on the chain, and the comparison.

use alloy::{
    primitives::{Address, U256},
    rpc::types::TransactionReceipt,
};

use super::{
    model::{Model, Outcome},
    steps::{Deed, ESCROW, Intruder, LineStep, PAIR, PayeeStep, Step},
};
use crate::{
    bindings::{HaitheOrchestrator, Line},
    scene::{ANY_ROOT, line},
    world::{DAY, DELAY, Money, Org, Person, TOKEN_RETURNS_FALSE, TOKEN_SILENT, World, event},
};

/// A world with two organizations and two creators.
pub struct Stage {
    world: World,
    orgs: [Org; PAIR],
    ids: [U256; PAIR],
}

impl Stage {
    pub async fn set(world: World) -> Self {
        let people = &world.people;
        let first = world.org(world.organization("first", &people.alice, 0).await);
        let second = world.org(world.organization("second", &people.bob, 0).await);
        let ids = [
            world.creator(&people.cora).await,
            world.creator(&people.cleo).await,
        ];
        world
            .act(&people.alice, first.setRole(people.walter.address, 2))
            .await;
        Self {
            orgs: [first, second],
            ids,
            world,
        }
    }

    fn owner(&self, org: usize) -> &Person {
        [&self.world.people.alice, &self.world.people.bob][org]
    }

    fn creator(&self, creator: usize) -> &Person {
        [&self.world.people.cora, &self.world.people.cleo][creator]
    }

    /// Does the step here and in the model, and compares what came of it.
    pub async fn perform(&self, model: &mut Model, step: &Step) {
        let world = &self.world;
        if let (Step::TokenRefuses(_), Money::Plain(_)) = (step, world.money) {
            return;
        }
        if let Step::Trespass { who, deed } = step {
            let receipt = self.trespass(*who, *deed).await;
            assert!(!receipt.status(), "{step:?} succeeded");
            return;
        }
        let wait = Model::wait(step);
        if wait > 0 {
            world.chain.advance_time(wait);
            return;
        }
        let receipt = self.send(model, step).await;
        let expected = model.apply(step, world.time_of(&receipt).await);
        let actual = match (step, receipt.status()) {
            (_, false) => Outcome::Refused,
            (Step::Settle { .. }, true) => {
                let settled: HaitheOrchestrator::BatchSettled = event(&receipt);
                let total = (settled.total / world.usdt(1)).to();
                Outcome::Settled {
                    total,
                    skipped: settled.skipped.to(),
                }
            }
            (_, true) => Outcome::Done,
        };
        assert_eq!(actual, expected, "{step:?}");
    }

    async fn send(&self, model: &Model, step: &Step) -> TransactionReceipt {
        let world = &self.world;
        let (people, hub) = (&world.people, &world.hub);
        let operator = &people.operator;
        match step {
            Step::Deposit { org, amount } => {
                world
                    .attempt(
                        operator,
                        world.token.mint(*self.orgs[*org].address(), world.usdt(*amount)),
                    )
                    .await
            }
            Step::Stray { amount } => {
                world
                    .attempt(operator, world.token.mint(*hub.address(), world.usdt(*amount)))
                    .await
            }
            Step::Settle { lines, ahead } => {
                let lines = lines.iter().map(|line| self.line(line)).collect();
                world
                    .attempt(
                        &people.server,
                        hub.settleBatch(model.next_batch + ahead, ANY_ROOT, lines),
                    )
                    .await
            }
            Step::Request { org, amount } => {
                let owner = self.owner(*org);
                let call = self.orgs[*org].requestWithdrawal(owner.address, world.usdt(*amount));
                world.attempt(owner, call).await
            }
            Step::Execute { org } => {
                world
                    .attempt(self.owner(*org), self.orgs[*org].executeWithdrawal())
                    .await
            }
            Step::Cancel { org } => {
                world
                    .attempt(self.owner(*org), self.orgs[*org].cancelWithdrawal())
                    .await
            }
            Step::SetCap { org, cap } => {
                let cap = cap.map_or(U256::MAX, |cap| world.usdt(cap));
                world
                    .attempt(self.owner(*org), self.orgs[*org].setDailyCap(cap))
                    .await
            }
            Step::CreatorWithdraws { creator } => {
                world
                    .attempt(
                        self.creator(*creator),
                        world.identity.withdrawFunds(self.ids[*creator]),
                    )
                    .await
            }
            Step::PlatformWithdraws => {
                let all = hub.platformFunds().call().await.unwrap();
                world
                    .attempt(operator, hub.withdrawPlatform(operator.address, all))
                    .await
            }
            Step::RecoverStray => {
                world
                    .attempt(
                        operator,
                        hub.recoverStray(*world.token.address(), operator.address),
                    )
                    .await
            }
            Step::Pause => world.attempt(&people.guardian, hub.pause()).await,
            Step::Unpause => world.attempt(operator, hub.unpause()).await,
            Step::TokenRefuses(refuses) => {
                let mode = if *refuses {
                    TOKEN_RETURNS_FALSE
                } else {
                    TOKEN_SILENT
                };
                world.attempt(operator, world.token.setMode(mode)).await
            }
            Step::Wait { .. } | Step::Trespass { .. } => unreachable!("handled before"),
        }
    }

    fn line(&self, step: &LineStep) -> Line {
        let world = &self.world;
        let stranger = world.people.mallory.address;
        let payee = |payee: PayeeStep| match payee {
            PayeeStep::Org(org) => *self.orgs[org].address(),
            PayeeStep::Creator(creator) => self.creator(creator).address,
            PayeeStep::Stranger => stranger,
        };
        let org = match step.org {
            ESCROW => *world.hub.address(),
            other => self.orgs.get(other).map_or(stranger, |org| *org.address()),
        };
        let credits: Vec<_> = step
            .credits
            .iter()
            .map(|(to, amount)| (payee(*to), world.usdt(*amount)))
            .collect();
        line(org, world.usdt(step.platform), &credits)
    }

    /// Somebody tries something on the first organization or the first creator.
    async fn trespass(&self, who: Intruder, deed: Deed) -> TransactionReceipt {
        let world = &self.world;
        let (people, hub, identity) = (&world.people, &world.hub, &world.identity);
        let (org, id) = (&self.orgs[0], self.ids[0]);
        let who = match who {
            Intruder::Stranger => &people.mallory,
            Intruder::Administrator => &people.walter,
            Intruder::Rival => &people.bob,
            Intruder::Server => &people.server,
            Intruder::Guardian => &people.guardian,
        };
        let (me, one) = (who.address, U256::ONE);
        match deed {
            Deed::Pull => world.attempt(who, org.pull(me, one)).await,
            Deed::TransferFrom => {
                world
                    .attempt(who, world.token.transferFrom(*org.address(), me, one))
                    .await
            }
            Deed::SettleLine => {
                world
                    .attempt(who, hub.settleLine(line(*org.address(), one, &[])))
                    .await
            }
            Deed::Request => world.attempt(who, org.requestWithdrawal(me, one)).await,
            Deed::Execute => world.attempt(who, org.executeWithdrawal()).await,
            Deed::Cancel => world.attempt(who, org.cancelWithdrawal()).await,
            Deed::SetCap => world.attempt(who, org.setDailyCap(U256::MAX)).await,
            Deed::TakeOwnership => world.attempt(who, org.acceptOwnership()).await,
            Deed::RegisterFunds => world.attempt(who, identity.registerFunds(id, one)).await,
            Deed::PayCreator => world.attempt(who, hub.payCreator(id, me, me, one)).await,
            Deed::RedirectFunds => world.attempt(who, identity.proposePayoutAddress(id, me)).await,
            Deed::WithdrawFundsTo => world.attempt(who, identity.withdrawFundsTo(id, me)).await,
            Deed::WithdrawFunds => world.attempt(who, identity.withdrawFunds(id)).await,
            Deed::WithdrawPlatform => world.attempt(who, hub.withdrawPlatform(me, one)).await,
            Deed::RecoverStray => {
                world
                    .attempt(who, hub.recoverStray(*world.token.address(), me))
                    .await
            }
            Deed::BecomeServer => world.attempt(who, hub.acceptServer()).await,
            Deed::Unpause => world.attempt(who, hub.unpause()).await,
        }
    }

    /// Every token is where the model says.
    pub async fn compare(&self, model: &Model, step: &Step) {
        let world = &self.world;
        let people = &world.people;
        let [first, second] = &model.orgs;
        let places: [(&str, Address, u64); 9] = [
            ("first organization", *self.orgs[0].address(), first.held),
            ("second organization", *self.orgs[1].address(), second.held),
            ("orchestrator", *world.hub.address(), model.orchestrator()),
            ("identity contract", *world.identity.address(), 0),
            ("alice", people.alice.address, first.withdrawn),
            ("bob", people.bob.address, second.withdrawn),
            ("cora", people.cora.address, model.creators[0]),
            ("cleo", people.cleo.address, model.creators[1]),
            ("operator", people.operator.address, model.operator),
        ];
        let mut total = U256::ZERO;
        for (name, address, expected) in places {
            let held = world.balance(address).await;
            assert_eq!(held, world.usdt(expected), "{name} after {step:?}");
            total += held;
        }
        assert_eq!(
            world.token.totalSupply().call().await.unwrap(),
            total,
            "nobody else has any, after {step:?}"
        );
        for (id, credited) in self.ids.iter().zip(model.credited) {
            assert_eq!(
                world.identity.funds(*id).call().await.unwrap(),
                world.usdt(credited),
                "after {step:?}"
            );
        }
        assert_eq!(
            world.hub.platformFunds().call().await.unwrap(),
            world.usdt(model.platform),
            "after {step:?}"
        );
        assert_eq!(
            world.hub.nextBatch().call().await.unwrap(),
            model.next_batch,
            "after {step:?}"
        );
    }

    /// Whatever happened, everybody gets their money: nothing is stuck.
    pub async fn take_everything_out(&self, model: &mut Model) {
        let until_calm = [
            Step::TokenRefuses(false),
            // Longer than any pause and any announced withdrawal.
            Step::Wait { hours: 24 * 10 },
        ];
        for step in &until_calm {
            self.perform(model, step).await;
        }
        let mut last = vec![Step::PlatformWithdraws, Step::RecoverStray];
        for i in 0..PAIR {
            last.push(Step::CreatorWithdraws { creator: i });
            last.push(Step::Request {
                org: i,
                amount: model.orgs[i].held.max(1),
            });
        }
        last.push(Step::Wait {
            hours: (DELAY + DAY / 2) / 3600,
        });
        last.extend((0..PAIR).map(|org| Step::Execute { org }));
        for step in &last {
            self.perform(model, step).await;
            self.compare(model, step).await;
        }
        for address in self
            .orgs
            .iter()
            .map(Org::address)
            .chain([self.world.hub.address()])
        {
            assert_eq!(self.world.balance(*address).await, U256::ZERO);
        }
    }
}
