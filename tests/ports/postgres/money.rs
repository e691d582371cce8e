//! Several instances that decide over the same money. What the chain would have booked is written by the test.

use crate::{
    database::{NOON, Setup},
    world::{
        CHAIN_ID, ORCHESTRATOR, act, call_id, capture, exactly, nano, new_project, platform_lines, wallet,
    },
};
use futures::future::join_all;
use haithe_billing::{
    hold::{BudgetClaim, BudgetSubject, HoldError, HoldRequest},
    ledger::LedgerTotals,
    ports::{Books, Ledger},
};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{CallId, OrgId, StoreError, Usdt};
use haithe_orgs::{Project, ports::ProjectStore};
use haithe_postgres::{Db, PgBooks, PgConfig, PgInstance, PgLedger, PgProjectStore, StaleEpoch};
use haithe_tests::{eventually, postgres::TestDatabase};
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, postgres::PgConnectOptions};

const ORG: OrgId = OrgId(1);

/// One process.
struct Process {
    db: Db,
    instance: PgInstance,
    ledger: PgLedger,
}

impl Process {
    async fn start(database: &TestDatabase) -> Self {
        let db = Db::open(&PgConfig::new(database.url(), Setup::default().decimals)).await;
        let db = db.unwrap();
        let instance = PgInstance::start(&db).await.unwrap();
        let ledger = PgLedger::start(&db, &instance);
        Self { db, instance, ledger }
    }

    async fn hold(&self, amount: i64) -> Result<CallId, HoldError> {
        let call = call_id();
        self.ledger.hold(exactly(call, ORG, nano(amount))).await?;
        Ok(call)
    }

    async fn take(&self, call: CallId, project: &Project, cost: i64) -> (Usdt, Usdt) {
        let capture = capture(call, ORG, project, platform_lines(nano(cost)));
        let captured = self.ledger.capture(capture).await.unwrap();
        (captured.charged, captured.lost)
    }

    /// Postings sum to zero, balances are the sums of their postings, and every charge has a receipt.
    async fn assert_sound(&self) {
        let snapshot = PgBooks::new(&self.db).snapshot().await.unwrap();
        assert_eq!(snapshot.sum_of_postings, 0);
        assert_eq!(snapshot.unbalanced, Vec::<String>::new());
        assert_eq!(snapshot.drifted, Vec::<String>::new());
        assert_eq!(snapshot.broken_receipts, 0);
    }
}

async fn connect(database: &TestDatabase) -> PgConnection {
    let options: PgConnectOptions = database.url().parse().unwrap();
    options.connect().await.unwrap()
}

async fn execute(database: &TestDatabase, statements: &[String]) {
    let mut connection = connect(database).await;
    for statement in statements {
        let statement = sqlx::query(AssertSqlSafe(statement.clone()));
        statement.execute(&mut connection).await.unwrap();
    }
}

async fn number(database: &TestDatabase, query: String) -> i64 {
    let mut connection = connect(database).await;
    let query = sqlx::query_scalar(AssertSqlSafe(query));
    query.fetch_one(&mut connection).await.unwrap()
}

/// [`ORG`] with this much to spend, and a project of it.
async fn funded(database: &TestDatabase, process: &Process, amount: i64) -> Project {
    let bytes = |byte: u8, length: usize| format!("'\\x{}'", hex::encode(vec![byte; length]));
    let orchestrator = format!("'\\x{}'", hex::encode(ORCHESTRATOR.as_bytes()));
    let at = NOON.micros();
    let mut statements = vec![
        format!(
            "INSERT INTO chain_binding (id, chain_id, orchestrator, start_block, decimals)
             VALUES (1, {CHAIN_ID}, {orchestrator}, 1, 18)"
        ),
        format!(
            "INSERT INTO organizations (id, organization_uid, address, created_tx, orchestrator_index, chain_name,
                                        name, owner, created_at, on_chain, created_block)
             VALUES (1, {}, {}, {}, 1, 'Acme', 'Acme', {}, {at}, TRUE, 1)",
            bytes(5, 16),
            bytes(9, 20),
            bytes(1, 32),
            bytes(1, 20),
        ),
        "INSERT INTO org_books (org_id) VALUES (1)".to_owned(),
        format!(
            "INSERT INTO ledger_accounts (id, name, org_id, balance)
             VALUES (101, 'chain/1', 1, -{amount}), (102, 'org/1/available', 1, {amount}),
                    (103, 'org/1/unsettled', 1, 0), (104, 'org/1/withdrawing', 1, 0)"
        ),
        format!("INSERT INTO ledger_transactions (key, at, block) VALUES ('deposit/test/0', {at}, 1)"),
    ];
    if amount > 0 {
        statements.push(format!(
            "INSERT INTO ledger_transfers (transaction_id, position, source, target, amount)
             SELECT id, 0, 101, 102, {amount} FROM ledger_transactions WHERE key = 'deposit/test/0'"
        ));
    }
    execute(database, &statements).await;
    let projects = PgProjectStore::new(&process.db);
    projects
        .create(new_project(ORG, "project"), act(wallet(1)))
        .await
        .unwrap()
}

/// As if the instance had not renewed its lease for long.
async fn age(database: &TestDatabase, instance: i64) {
    let age = format!("UPDATE instances SET renewed_at = 0 WHERE id = {instance} AND renewed_at IS NOT NULL");
    execute(database, &[age]).await;
}

fn is_stale(refused: &HoldError) -> bool {
    matches!(refused, HoldError::Store(error) if StaleEpoch::is_cause_of(error))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_admit_exactly_the_calls_that_the_funds_cover() {
    let Some(database) = TestDatabase::create().await else {
        return;
    };
    let processes = [Process::start(&database).await, Process::start(&database).await];
    let (price, covered) = (1_000, 100);
    let project = funded(&database, &processes[0], price * covered + price - 1).await;
    let callers = (0..256usize).map(|caller| processes[caller % 2].hold(price));
    let mut held = Vec::new();
    for (caller, answer) in join_all(callers).await.into_iter().enumerate() {
        match answer {
            Ok(call) => held.push((caller % 2, call)),
            Err(HoldError::Funds { spendable, .. }) => assert_eq!(spendable, nano(price - 1)),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(held.len(), 100);
    let takes = held
        .iter()
        .map(|(process, call)| processes[*process].take(*call, &project, price));
    for taken in join_all(takes).await {
        assert_eq!(taken, (nano(price), nano(0)));
    }
    for process in &processes {
        let balance = process.ledger.balance(ORG).await.unwrap();
        assert_eq!(
            (balance.available, balance.held, balance.unsettled),
            (nano(price - 1), nano(0), nano(price * covered))
        );
        assert_eq!(
            process.ledger.expenditure(ORG).await.unwrap(),
            nano(price * covered)
        );
    }
    processes[0].assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_admit_exactly_what_the_budget_of_a_key_leaves() {
    let Some(database) = TestDatabase::create().await else {
        return;
    };
    let processes = [Process::start(&database).await, Process::start(&database).await];
    let project = funded(&database, &processes[0], 1_000_000).await;
    let key = ApiKeyId(7);
    let callers = (0..60usize).map(|caller| {
        let (process, project) = (&processes[caller % 2], &project);
        async move {
            let call = call_id();
            let request = HoldRequest {
                budgets: vec![BudgetClaim {
                    subject: BudgetSubject::ApiKey(key),
                    limit: nano(205),
                    since: NOON,
                }],
                ..exactly(call, ORG, nano(10))
            };
            match process.ledger.hold(request).await {
                Ok(_) => {}
                Err(HoldError::Budget { left, .. }) => {
                    assert_eq!(left, nano(5));
                    return 0;
                }
                Err(other) => panic!("{other:?}"),
            }
            let mut capture = capture(call, ORG, project, platform_lines(nano(10)));
            capture.usage.api_key = Some(key);
            process.ledger.capture(capture).await.unwrap().charged.nano()
        }
    });
    assert_eq!(join_all(callers).await.into_iter().sum::<i64>(), 200);
    processes[0].assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_two_instances_capture_is_charged_once() {
    let Some(database) = TestDatabase::create().await else {
        return;
    };
    let processes = [Process::start(&database).await, Process::start(&database).await];
    let project = funded(&database, &processes[0], 1_000).await;
    let call = processes[0].hold(100).await.unwrap();
    let takes = (0..16usize).map(|number| processes[number % 2].take(call, &project, 100));
    for taken in join_all(takes).await {
        assert_eq!(taken, (nano(100), nano(0)));
    }
    let balance = processes[1].ledger.balance(ORG).await.unwrap();
    assert_eq!((balance.available, balance.held), (nano(900), nano(0)));
    processes[1].assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_epoch_of_a_dead_instance_is_raised_and_its_holds_are_free() {
    let Some(database) = TestDatabase::create().await else {
        return;
    };
    let (dead, other) = (Process::start(&database).await, Process::start(&database).await);
    funded(&database, &dead, 100).await;
    dead.hold(70).await.unwrap();
    assert!(matches!(other.hold(31).await, Err(HoldError::Funds { .. })));
    let epoch = dead.instance.epoch();
    dead.db.close().await;
    drop(dead);
    assert_eq!(
        other.instance.end_expired().await.unwrap(),
        0,
        "its lease is still valid"
    );
    age(&database, epoch.id).await;
    eventually("the lease is ended", async || other.hold(100).await.ok()).await;
    let raised = format!("SELECT epoch FROM instances WHERE id = {}", epoch.id);
    assert_eq!(number(&database, raised).await, epoch.epoch + 1);
    let totals = other.ledger.totals().await.unwrap();
    let expected = LedgerTotals {
        holds: 1,
        held: nano(100),
        unsettled: nano(0),
    };
    assert_eq!(totals, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_under_an_old_epoch_is_refused_and_the_instance_starts_anew() {
    let Some(database) = TestDatabase::create().await else {
        return;
    };
    let (slow, other) = (Process::start(&database).await, Process::start(&database).await);
    funded(&database, &slow, 100).await;
    slow.hold(60).await.unwrap();
    let (old, mut epochs) = (slow.instance.epoch(), slow.instance.epochs());
    eventually("another instance ends the lease", async || {
        age(&database, old.id).await;
        other.instance.end_expired().await.unwrap();
        let ended = format!(
            "SELECT count(*) FROM instances WHERE id = {} AND renewed_at IS NULL",
            old.id
        );
        (number(&database, ended).await == 1).then_some(())
    })
    .await;
    // Refused, unless its own task has renewed the lease first.
    let refused = slow.hold(100).await;
    assert!(
        refused
            .as_ref()
            .map_or_else(is_stale, |_| slow.instance.epoch() != old),
        "{refused:?}"
    );
    epochs.wait_for(|epoch| *epoch != old).await.unwrap();
    let under_old = format!("SELECT count(*) FROM holds WHERE instance_id = {}", old.id);
    assert_eq!(number(&database, under_old).await, 0);
    if refused.is_err() {
        slow.hold(100).await.unwrap();
    }
    assert_eq!(other.ledger.balance(ORG).await.unwrap().held, nano(100));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_resigned_frees_its_holds_at_once_and_writes_no_more() {
    let Some(database) = TestDatabase::create().await else {
        return;
    };
    let (leaving, other) = (Process::start(&database).await, Process::start(&database).await);
    let project = funded(&database, &leaving, 100).await;
    let call = leaving.hold(60).await.unwrap();
    leaving.instance.resign().await.unwrap();
    other.hold(100).await.unwrap();
    assert!(leaving.hold(0).await.is_err_and(|refused| is_stale(&refused)));
    let late = capture(call, ORG, &project, platform_lines(nano(60)));
    let refused: Result<_, StoreError> = leaving.ledger.capture(late).await;
    assert!(refused.is_err_and(|error| StaleEpoch::is_cause_of(&error)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_whose_hold_was_released_takes_what_is_left_and_the_platform_bears_the_rest() {
    let Some(database) = TestDatabase::create().await else {
        return;
    };
    let (slow, other) = (Process::start(&database).await, Process::start(&database).await);
    let project = funded(&database, &slow, 100).await;
    let call = slow.hold(60).await.unwrap();
    let old = slow.instance.epoch();
    let held = eventually("its hold is released and another takes the money", async || {
        age(&database, old.id).await;
        other.instance.end_expired().await.unwrap();
        other.hold(70).await.ok()
    })
    .await;
    assert_eq!(slow.take(call, &project, 60).await, (nano(30), nano(30)));
    assert_eq!(slow.take(call, &project, 60).await, (nano(30), nano(30)), "once");
    assert_ne!(slow.instance.epoch(), old);
    assert_eq!(other.take(held, &project, 70).await, (nano(70), nano(0)));
    let balance = other.ledger.balance(ORG).await.unwrap();
    assert_eq!((balance.available, balance.unsettled), (nano(0), nano(100)));
    let loss = "SELECT balance FROM ledger_accounts WHERE name = 'platform/loss'".to_owned();
    assert_eq!(number(&database, loss).await, -30);
    other.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_whose_caller_left_is_found_by_the_release_that_follows() {
    let Some(database) = TestDatabase::create().await else {
        return;
    };
    let process = Process::start(&database).await;
    funded(&database, &process, 1_000).await;
    for _ in 0..50 {
        let (ledger, call) = (process.ledger.clone(), call_id());
        let asked = ledger.clone();
        let caller = tokio::spawn(async move { asked.hold(exactly(call, ORG, nano(900))).await });
        tokio::task::yield_now().await;
        caller.abort();
        let _ = caller.await;
        ledger.release(call);
        assert_eq!(process.ledger.balance(ORG).await.unwrap().held, nano(0));
    }
}
