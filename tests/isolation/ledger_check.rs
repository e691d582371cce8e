//! The ledger check reads all balances at once and raises an alarm when it cannot be made.

use crate::relay::Relay;
use haithe_kernel::Usdt;
use haithe_tests::{
    app::{App, Setup, question},
    client::Client,
    eventually,
    program::free_port,
    wallets::Wallet,
};
use std::time::Duration;

/// The selector of `balanceOf(address)`.
const BALANCE_OF: &str = "70a08231";

/// Finding 18: one request per organization made the check slower with every tenant.
#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_check_reads_the_balances_of_all_organizations_in_one_request() {
    const TENANTS: u32 = 24;
    let (around, relay) = Relay::around(Setup::default()).await;
    let app = App::over(around).await;
    for number in 0..TENANTS {
        let org = app
            .chain
            .create_organization(&Wallet::number(100 + number), &format!("tenant {number}"))
            .await;
        app.chain.deposit(org, Usdt::whole(1)).await;
    }
    let head = app.chain.dev.head().number;
    eventually("every organization is indexed", async || {
        let ready = app.anonymous().get("//health/ready").send().await.json();
        (ready["chain"]["indexed_block"] == head).then_some(())
    })
    .await;
    let around = app.stop().await;
    let before = relay.count(BALANCE_OF);
    let checked = around.run(&["ledger", "check"], None).await;
    assert!(checked.success(), "{checked:?}");
    let asked = relay.count(BALANCE_OF) - before;
    let organizations = checked.stdout.matches("organization ").count();
    assert_eq!(organizations, TENANTS as usize, "{}", checked.stdout);
    assert_eq!(asked, 1, "one request for all balances");
}

/// Finding 18: a check that could not be made was a warning that nobody watches for.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_check_that_cannot_be_made_raises_an_alarm_and_shows_in_health_and_metrics() {
    let metrics = format!("127.0.0.1:{}", free_port());
    let setup = Setup::default()
        .set("settlement.check_seconds", 1)
        .set("settlement.check_alarm_seconds", 2)
        .set("metrics.address", metrics.clone());
    let (around, relay) = Relay::around(setup).await;
    relay.refuse(Some(BALANCE_OF));
    let server = around.serve(free_port()).await;
    let client = server.anonymous();
    eventually("the alarm is raised", async || {
        let log = server.log();
        let raised =
            log.contains("haithe::alarm") && log.contains("not compared with the chain for too long");
        raised.then_some(())
    })
    .await;
    let ready = client.get("//health/ready").send().await.json();
    assert_eq!(ready["status"], "degraded", "{ready}");
    assert_eq!(ready["ledger"]["ok"], false, "{ready}");
    let figures = Client::new(format!("http://{metrics}"));
    let figures = figures.get("//metrics").send().await.text();
    let age = figures
        .lines()
        .find_map(|line| line.strip_prefix("haithe_ledger_check_age_seconds "))
        .and_then(|age| age.parse::<f64>().ok());
    assert!(age.is_some_and(|age| age > 2.0), "{age:?}");

    relay.refuse(None);
    eventually("a completed check ends it", async || {
        let ready = client.get("//health/ready").send().await.json();
        (ready["ledger"]["ok"] == true && ready["ledger"]["checked_seconds_ago"].is_u64()).then_some(())
    })
    .await;
    server.kill().await;
}

/// Finding 18: after a restart without its chain the gate began anew, and by a configured delay.
#[tokio::test(flavor = "multi_thread")]
async fn the_gate_keeps_its_age_and_the_contracts_delay_over_a_restart_without_the_chain() {
    let (mut setup, clock) = Setup::on_a_clock();
    setup.chain.plan = |plan| plan.withdrawal_delay = Duration::from_secs(3_600);
    let (around, relay) = Relay::around(setup.set("settlement.max_age_seconds", 1)).await;
    let app = App::over(around).await;
    let tenant = app.funded("Acme", Usdt::whole(1)).await;
    assert_eq!(tenant.caller.chat(&question("per-call")).send().await.status, 200);
    let around = app.stop().await;

    // The index is older than a quarter of the contracts' delay, and the chain is away.
    relay.refuse(Some("eth_"));
    clock.advance(Duration::from_secs(1_800));
    let app = App::over(around).await;
    let caller = tenant.caller.at(&app.base);
    caller
        .chat(&question("per-call"))
        .openai_refused(503, "settlement_delayed")
        .await;
    relay.refuse(None);
    eventually("the index and settlement have caught up", async || {
        let answer = caller.chat(&question("per-call")).send().await;
        (answer.status == 200).then_some(())
    })
    .await;
}
