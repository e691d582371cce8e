//! Any sequence of decisions and facts: memory equals the postings, and a restart changes nothing.

use crate::fixture::{
    Fixture, OWNER, contract, created, deposit, line, nano, settling, transfer, units, wallet,
};
use haithe_billing::{
    capture::Payee,
    chain::{EventBody, SkipReason},
    hold::HoldError,
    ports::Ledger,
};
use haithe_kernel::{CallId, OrgId};
use proptest::prelude::*;
use std::time::Duration;

#[derive(Debug, Clone)]
enum Step {
    Deposit(u8, i64),
    Hold(u8, i64),
    Release(usize),
    /// Which hold, its cost, and what of it goes to the other organization.
    Capture(usize, i64, i64),
    CaptureUnheld(u8, i64),
    Settle(bool),
    Request(u8, i64),
    Execute(u8, i64),
    Cancel(u8),
    Rewind,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let org = 1..=2u8;
    let amount = 0..2_000i64;
    prop_oneof![
        3 => (org.clone(), 1..5_000i64).prop_map(|(org, amount)| Step::Deposit(org, amount)),
        5 => (org.clone(), amount.clone()).prop_map(|(org, amount)| Step::Hold(org, amount)),
        2 => any::<usize>().prop_map(Step::Release),
        5 => (any::<usize>(), amount.clone(), 0..500i64).prop_map(|(hold, cost, share)| Step::Capture(hold, cost, share)),
        1 => (org.clone(), amount.clone()).prop_map(|(org, cost)| Step::CaptureUnheld(org, cost)),
        3 => any::<bool>().prop_map(Step::Settle),
        1 => (org.clone(), 1..3_000i64).prop_map(|(org, amount)| Step::Request(org, amount)),
        1 => (org.clone(), 0..100i64).prop_map(|(org, percent)| Step::Execute(org, percent)),
        1 => org.prop_map(Step::Cancel),
        1 => Just(Step::Rewind),
        1 => Just(Step::Restart),
    ]
}

struct Run {
    fixture: Fixture,
    orgs: [OrgId; 2],
    holds: Vec<(CallId, OrgId)>,
    requested: [Option<i64>; 2],
    /// A block that may be gone back to: nothing since then settles or withdraws.
    safe: haithe_billing::chain::BlockRef,
}

impl Run {
    async fn start() -> Self {
        let mut fixture = Fixture::new().await;
        fixture
            .mine(vec![created(1), created(2), deposit(1, nano(3_000))])
            .await;
        let orgs = [fixture.org(1).await, fixture.org(2).await];
        let safe = fixture.head.unwrap();
        Self {
            fixture,
            orgs,
            holds: Vec::new(),
            requested: [None, None],
            safe,
        }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Deposit(org, amount) => {
                self.fixture.mine(vec![deposit(org, nano(amount))]).await;
            }
            Step::Hold(org, amount) => {
                let org = self.orgs[usize::from(org) - 1];
                let spendable = self.fixture.balance(org).await.spendable();
                match self.fixture.hold(org, nano(amount)).await {
                    Ok(call) => {
                        assert!(nano(amount) <= spendable);
                        self.holds.push((call, org));
                    }
                    Err(HoldError::Suspended) => {}
                    Err(refused) => assert!(nano(amount) > spendable, "{refused}"),
                }
            }
            Step::Release(which) => {
                if let Some((call, _)) = self.pick(which) {
                    self.fixture.ledger().release(call);
                }
            }
            Step::Capture(which, cost, share) => {
                if let Some((call, org)) = self.pick(which) {
                    let other = if org == self.orgs[0] {
                        self.orgs[1]
                    } else {
                        self.orgs[0]
                    };
                    self.capture(call, org, cost, Some((other, share))).await;
                }
            }
            Step::CaptureUnheld(org, cost) => {
                let org = self.orgs[usize::from(org) - 1];
                self.capture(crate::fixture::call_id(), org, cost, None).await;
            }
            Step::Settle(skip) => self.settle(skip).await,
            Step::Request(org, amount) => self.request(org, amount).await,
            Step::Execute(org, percent) => self.execute(org, percent).await,
            Step::Cancel(org) => {
                if self.requested[usize::from(org) - 1].take().is_some() {
                    self.fixture
                        .mine(vec![EventBody::WithdrawalCancelled { org: contract(org) }])
                        .await;
                    self.safe = self.fixture.head.unwrap();
                }
            }
            Step::Rewind => {
                let safe = self.safe;
                self.fixture.rewind(safe).await;
            }
            Step::Restart => {
                let before = [
                    self.fixture.balance(self.orgs[0]).await,
                    self.fixture.balance(self.orgs[1]).await,
                ];
                self.fixture.db.close().await.unwrap();
                self.fixture.db = self.fixture.open_again().await.unwrap();
                self.holds.clear();
                for (org, before) in self.orgs.into_iter().zip(before) {
                    let after = self.fixture.balance(org).await;
                    assert_eq!(
                        after,
                        haithe_billing::ledger::Balance {
                            held: nano(0),
                            ..before
                        }
                    );
                }
            }
        }
    }

    fn pick(&mut self, which: usize) -> Option<(CallId, OrgId)> {
        (!self.holds.is_empty()).then(|| self.holds.swap_remove(which % self.holds.len()))
    }

    async fn capture(&mut self, call: CallId, org: OrgId, cost: i64, share: Option<(OrgId, i64)>) {
        let mut lines = vec![
            line(Payee::Platform, nano(cost)),
            line(Payee::Creator(wallet(8)), nano(cost / 3)),
        ];
        lines.extend(share.map(|(payee, amount)| line(Payee::Organization(payee), nano(amount))));
        let total: i64 = lines.iter().map(|line| line.amount.nano()).sum();
        let before = self.fixture.balance(org).await;
        let captured = self
            .fixture
            .ledger()
            .capture(crate::fixture::capture(call, org, lines))
            .await
            .unwrap();
        let after = self.fixture.balance(org).await;
        assert_eq!(captured.charged.nano() + captured.lost.nano(), total);
        assert_eq!(
            before.available.nano() - after.available.nano(),
            captured.charged.nano()
        );
    }

    async fn settle(&mut self, skip: bool) {
        let Some(batch) = self.fixture.seal().await else {
            return;
        };
        let skipped = if skip {
            vec![(0, SkipReason::TransferFailed)]
        } else {
            Vec::new()
        };
        self.fixture
            .mine_transactions(vec![settling(&batch, &skipped)])
            .await;
        self.safe = self.fixture.head.unwrap();
    }

    async fn request(&mut self, org: u8, amount: i64) {
        let open = &mut self.requested[usize::from(org) - 1];
        if open.is_none() {
            *open = Some(amount);
            let ready_at = self.fixture.head.unwrap().time.plus(Duration::from_secs(60));
            let request = EventBody::WithdrawalRequested {
                org: contract(org),
                to: OWNER,
                amount: Some(units(nano(amount))),
                ready_at,
            };
            self.fixture.mine(vec![request]).await;
            self.safe = self.fixture.head.unwrap();
        }
    }

    async fn execute(&mut self, org: u8, percent: i64) {
        if let Some(amount) = self.requested[usize::from(org) - 1].take() {
            let paid = units(nano(amount * percent / 100));
            let executed = EventBody::WithdrawalExecuted {
                org: contract(org),
                to: OWNER,
                amount: Some(paid),
            };
            let moved = transfer(contract(org), OWNER, paid);
            self.fixture.mine_transactions(vec![vec![executed, moved]]).await;
            self.safe = self.fixture.head.unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn memory_equals_postings_after_every_step(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut run = Run::start().await;
            for step in steps {
                run.take(step).await;
                run.fixture.assert_sound().await;
                for org in run.orgs {
                    let balance = run.fixture.balance(org).await;
                    let parts = balance.available.nano() + balance.unsettled.nano() + balance.withdrawing.nano();
                    assert_eq!(parts, balance.onchain.nano(), "{balance:?}");
                }
            }
            for (call, _) in run.holds.drain(..) {
                run.fixture.ledger().release(call);
            }
            for org in run.orgs {
                assert_eq!(run.fixture.balance(org).await.held, nano(0));
            }
        });
    }
}
