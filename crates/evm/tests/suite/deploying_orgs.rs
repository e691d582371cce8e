//! Organizations at the server's expense.

use crate::fixture::{Chain, Fault, LIMITS, MemoryOutbox, Rig, alice, bob, wallet};
use haithe_billing::outbox::{NewTx, TxPurpose};
use haithe_billing::ports::TxOutbox;
use haithe_evm::{EvmOrgDeployer, SendPolicy, SenderHandle, SponsorBudget};
use haithe_kernel::{ClientNetwork, Clock, FixedClock, WalletAddress};
use haithe_orgs::ports::{DeployError, OrgDeployer};
use std::{sync::Arc, time::Duration};
use tokio::{sync::oneshot, task::JoinHandle};

/// A deployer whose sender runs in a task of its own, as in the server.
struct Running {
    chain: Chain,
    outbox: Arc<MemoryOutbox>,
    clock: Arc<FixedClock>,
    handle: SenderHandle,
    signer: WalletAddress,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    fn on(chain: Chain) -> Self {
        let policy = SendPolicy {
            poll: Duration::from_millis(20),
            ..SendPolicy::default()
        };
        let rig = Rig::with(chain, policy);
        let signer = rig.signer();
        let (stop, stopped) = oneshot::channel::<()>();
        let sender = rig.sender;
        let task = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            sender.run(stopped).await;
        });
        Self {
            chain: rig.chain,
            outbox: rig.outbox,
            clock: rig.clock,
            handle: rig.handle,
            signer,
            stop,
            task,
        }
    }

    fn deployer(&self, budget: SponsorBudget) -> EvmOrgDeployer {
        EvmOrgDeployer::new(
            self.chain.client.clone(),
            self.outbox.clone(),
            self.handle.clone(),
            self.signer,
            self.clock.clone(),
            budget,
        )
    }

    async fn stop(self) {
        drop(self.stop);
        self.task.await.unwrap();
    }
}

on_every_chain! {
    the_same_name_and_owner_is_one_organization,
    a_name_that_is_taken_costs_nothing,
    budgets_hold_for_a_day,
    what_is_not_mined_in_time_is_pending_and_found_later,
    an_outage_says_so_and_writes_nothing,
    a_failed_deployment_can_be_asked_for_again,
    a_network_has_a_budget_of_its_own,
    nothing_is_paid_at_or_below_the_reserve,
    nothing_is_paid_where_the_server_does_not_sponsor,
}

async fn a_network_has_a_budget_of_its_own(chain: Chain) {
    let running = Running::on(chain);
    let deployer = running.deployer(SponsorBudget {
        per_network: 1,
        ..SponsorBudget::default()
    });
    let network = |text: &str| text.parse::<ClientNetwork>().ok();
    let (near, far) = (network("192.0.2.1"), network("2001:db8::/64"));
    let (alice, bob) = (wallet(alice().address), wallet(bob().address));
    deployer.deploy("a".into(), alice, near).await.unwrap();
    let refused = deployer.deploy("b".into(), bob, near).await.unwrap_err();
    assert!(matches!(refused, DeployError::BudgetSpent(_)), "{refused}");
    deployer.deploy("b".into(), bob, far).await.unwrap();
    running.stop().await;
}

async fn nothing_is_paid_at_or_below_the_reserve(chain: Chain) {
    let running = Running::on(chain);
    let deployer = running.deployer(SponsorBudget {
        reserve: u128::MAX,
        ..SponsorBudget::default()
    });
    let refused = deployer
        .deploy("a".into(), wallet(alice().address), None)
        .await
        .unwrap_err();
    assert!(matches!(refused, DeployError::Reserved), "{refused}");
    assert_eq!(running.outbox.len(), 0);
    running.stop().await;
}

async fn nothing_is_paid_where_the_server_does_not_sponsor(chain: Chain) {
    let running = Running::on(chain);
    let deployer = running.deployer(SponsorBudget {
        enabled: false,
        ..SponsorBudget::default()
    });
    let owner = wallet(alice().address);
    let refused = deployer.deploy("a".into(), owner, None).await.unwrap_err();
    assert!(matches!(refused, DeployError::NotSponsored), "{refused}");
    let transaction = deployer.transaction("a".into(), owner);
    assert_eq!(
        (transaction.from, transaction.chain_id),
        (owner, running.chain.deployment.chain_id)
    );
    assert_eq!(transaction.to, running.chain.deployment.orchestrator);
    running.stop().await;
}

async fn the_same_name_and_owner_is_one_organization(chain: Chain) {
    let running = Running::on(chain);
    let deployer = running.deployer(SponsorBudget::default());
    let owner = wallet(alice().address);
    let (first, second) = tokio::join!(
        deployer.deploy("acme".into(), owner, None),
        deployer.deploy("acme".into(), owner, None)
    );
    let first = first.unwrap();
    assert_eq!(first, second.unwrap());
    assert_eq!(first, deployer.deploy("acme".into(), owner, None).await.unwrap());
    assert_eq!(running.outbox.len(), 1);
    let org = running.chain.actor(alice()).org(crate::fixture::address(first));
    assert_eq!(org.owner().call().await.unwrap(), alice().address);
    assert_eq!(org.name().call().await.unwrap(), "acme");
    running.stop().await;
}

async fn a_name_that_is_taken_costs_nothing(chain: Chain) {
    let running = Running::on(chain);
    running.chain.actor(bob()).create_org("acme").await;
    let deployer = running.deployer(SponsorBudget::default());
    let refused = deployer
        .deploy("acme".into(), wallet(alice().address), None)
        .await
        .unwrap_err();
    assert!(matches!(refused, DeployError::NameTaken), "{refused}");
    assert_eq!(running.outbox.len(), 0);
    running.stop().await;
}

async fn budgets_hold_for_a_day(chain: Chain) {
    let running = Running::on(chain);
    let deployer = running.deployer(SponsorBudget {
        per_wallet: 1,
        global: 2,
        ..SponsorBudget::default()
    });
    let (alice, bob, nobody) = (
        wallet(alice().address),
        wallet(bob().address),
        WalletAddress::new([9; 20]),
    );
    deployer.deploy("a".into(), alice, None).await.unwrap();
    let refused = deployer.deploy("b".into(), alice, None).await.unwrap_err();
    assert!(
        matches!(refused, DeployError::BudgetSpent(_)),
        "alice's own: {refused}"
    );
    deployer.deploy("c".into(), bob, None).await.unwrap();
    let refused = deployer.deploy("d".into(), nobody, None).await.unwrap_err();
    assert!(
        matches!(refused, DeployError::BudgetSpent(_)),
        "everybody's: {refused}"
    );
    deployer
        .deploy("a".into(), alice, None)
        .await
        .expect("what is there costs nothing");
    running.clock.advance(Duration::from_secs(24 * 60 * 60 + 1));
    deployer.deploy("b".into(), alice, None).await.unwrap();
    running.stop().await;
}

async fn what_is_not_mined_in_time_is_pending_and_found_later(chain: Chain) {
    let running = Running::on(chain);
    running.chain.hold().await;
    let deployer = running.deployer(SponsorBudget::default());
    let owner = wallet(alice().address);
    let started = tokio::time::Instant::now();
    let refused = deployer.deploy("acme".into(), owner, None).await.unwrap_err();
    assert!(matches!(refused, DeployError::Pending), "{refused}");
    assert!(started.elapsed() < LIMITS.request_timeout + Duration::from_secs(1));
    running.chain.release().await;
    deployer.deploy("acme".into(), owner, None).await.unwrap();
    assert_eq!(running.outbox.len(), 1);
    running.stop().await;
}

async fn an_outage_says_so_and_writes_nothing(chain: Chain) {
    chain.client.check().await.unwrap();
    let running = Running::on(chain);
    running.chain.wire.fail("eth_call", 100, Fault::Undelivered);
    let deployer = running.deployer(SponsorBudget::default());
    let refused = deployer
        .deploy("acme".into(), wallet(alice().address), None)
        .await
        .unwrap_err();
    assert!(matches!(refused, DeployError::Unavailable(_)), "{refused}");
    assert_eq!(running.outbox.len(), 0);
    running.stop().await;
}

async fn a_failed_deployment_can_be_asked_for_again(chain: Chain) {
    let running = Running::on(chain);
    let owner = wallet(alice().address);
    // An earlier attempt that the contract refused, for whatever reason.
    let failed = NewTx {
        key: format!("org/{owner}/acme"),
        purpose: TxPurpose::CreateOrganization,
        signer: running.signer,
        to: None,
        data: Vec::new(),
        on_behalf: Some(owner),
        created_at: running.clock.now(),
    };
    let failed = running.outbox.enqueue(failed).await.unwrap();
    running
        .outbox
        .close(failed.id, Some("EnforcedPause".into()))
        .await
        .unwrap();
    let deployer = running.deployer(SponsorBudget::default());
    deployer.deploy("acme".into(), owner, None).await.unwrap();
    assert_eq!(running.outbox.len(), 2);
    running.stop().await;
}
