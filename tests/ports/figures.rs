//! [`UsageStore`] and lists of receipts: figures that sum to what the ledger took.

use crate::{
    database::{Database, NOON, on_every_database},
    world::{World, call_id, capture, exactly, line, nano, wallet},
};
use haithe_billing::{
    capture::{Payee, PriceLine},
    receipt::ReceiptFilter,
    usage::{Day, UsageQuery, UsageRow},
};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{CallId, ModelId, OrgId, Page, ProductId, Usdt, WalletAddress};
use haithe_orgs::{Organization, Project};
use std::time::Duration;

pub const DAY: Duration = Duration::from_secs(86_400);
/// The day of noon.
pub const TODAY: Day = Day(20_468);
pub const CREATOR: WalletAddress = wallet(0x77);

fn query(by: &str) -> UsageQuery {
    UsageQuery {
        by: by.parse().unwrap(),
        from: None,
        until: None,
        project: None,
        api_key: None,
        model: None,
        product: None,
    }
}

pub fn product(number: i64, amount: i64) -> PriceLine {
    PriceLine::product(ProductId(number), CREATOR, nano(amount))
}

/// What makes one call differ from another.
pub struct Used<'a> {
    pub project: &'a Project,
    pub key: Option<i64>,
    pub model: i64,
    pub day: u32,
    pub lines: Vec<PriceLine>,
}

impl<D: Database> World<D> {
    /// Captures a call of these lines in full.
    pub async fn used(&self, org: OrgId, used: Used<'_>) -> CallId {
        let call = call_id();
        let mut capture = capture(call, org, used.project, used.lines);
        let cost = capture.cost();
        capture.usage.api_key = used.key.map(ApiKeyId);
        capture.usage.model = ModelId(used.model);
        capture.usage.model_name = format!("model-{}", used.model);
        capture.usage.finished_at = NOON.plus(DAY * used.day);
        self.db.ledger().hold(exactly(call, org, cost)).await.unwrap();
        let captured = self.db.ledger().capture(capture).await.unwrap();
        assert_eq!(captured.charged, cost);
        call
    }

    async fn figures(&self, org: &Organization, query: UsageQuery) -> Vec<UsageRow> {
        self.db.usage().figures(org.id, query, None).await.unwrap().items
    }
}

fn sum(rows: &[UsageRow]) -> Usdt {
    Usdt::checked_sum(rows.iter().map(|row| row.charged)).unwrap()
}

async fn figures_sum_to_what_was_charged_however_they_are_told_apart(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, first) = world.funded("Acme", nano(1_000_000)).await;
    let (other, theirs) = world.funded("Other", nano(1_000_000)).await;
    let second = world.project(&org).await;
    for number in 0..60i64 {
        let used = Used {
            project: [&first, &second][usize::from(number % 3 == 0)],
            key: (number % 4 > 0).then_some(number % 4),
            model: number % 2,
            day: u32::try_from(number % 5).unwrap(),
            lines: vec![
                line(Payee::Platform, nano(number * 7)),
                product(number % 3, number),
            ],
        };
        world.used(org.id, used).await;
    }
    let of_others = Used {
        project: &theirs,
        key: None,
        model: 1,
        day: 0,
        lines: vec![line(Payee::Platform, nano(5))],
    };
    world.used(other.id, of_others).await;
    let spent = world.db.ledger().expenditure(org.id).await.unwrap();
    for (by, combinations) in [
        ("total", 1),
        ("day", 5),
        ("project", 2),
        ("key", 4),
        ("model", 2),
        ("day,model", 10),
        ("day,project,key,model", 40),
    ] {
        let rows = world.figures(&org, query(by)).await;
        assert_eq!((rows.len(), sum(&rows)), (combinations, spent), "{by}");
        assert_eq!(rows.iter().map(|row| row.calls).sum::<u64>(), 60, "{by}");
        let input: u64 = rows.iter().map(|row| row.tokens.unwrap().input).sum();
        assert_eq!(input, 600, "{by}");
        for range in 1..=7 {
            // Pages are of the same list.
            let page = Page::new(range, 1).unwrap();
            let listed = world
                .db
                .usage()
                .figures(org.id, query(by), Some(page))
                .await
                .unwrap();
            assert_eq!(listed.total, combinations as u64);
            let rest = rows.iter().skip(1).take(range as usize);
            assert!(listed.items.iter().eq(rest), "{by}");
        }
    }
    let of_products: i64 = (0..60).sum();
    for (by, combinations) in [("product", 3), ("day,product", 15), ("product,key", 12)] {
        let rows = world.figures(&org, query(by)).await;
        assert_eq!(
            (rows.len(), sum(&rows)),
            (combinations, nano(of_products)),
            "{by}"
        );
        assert!(
            rows.iter()
                .all(|row| row.tokens.is_none() && row.product.is_some())
        );
    }
    world.assert_sound().await;
}

async fn figures_keep_to_what_was_asked_for(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(1_000)).await;
    for (day, key, model, cost) in [(0, None, 1, 1), (1, Some(7), 1, 2), (2, Some(7), 2, 4)] {
        let lines = vec![line(Payee::Platform, nano(cost)), product(9, 100)];
        let used = Used {
            project: &project,
            key,
            model,
            day,
            lines,
        };
        world.used(org.id, used).await;
    }
    let charged = async |query| sum(&world.figures(&org, query).await).nano();
    let from = |day: i64| Some(Day(TODAY.0 + day));
    let base = query("total");
    assert_eq!(
        charged(UsageQuery {
            from: from(1),
            ..base.clone()
        })
        .await,
        206
    );
    assert_eq!(
        charged(UsageQuery {
            until: from(1),
            ..base.clone()
        })
        .await,
        203
    );
    assert_eq!(
        charged(UsageQuery {
            from: from(1),
            until: from(1),
            ..base.clone()
        })
        .await,
        102
    );
    assert_eq!(
        charged(UsageQuery {
            api_key: Some(ApiKeyId(7)),
            ..base.clone()
        })
        .await,
        206
    );
    assert_eq!(
        charged(UsageQuery {
            model: Some(ModelId(1)),
            ..base.clone()
        })
        .await,
        203
    );
    assert_eq!(
        charged(UsageQuery {
            project: Some(project.id),
            ..base.clone()
        })
        .await,
        307
    );
    assert_eq!(
        charged(UsageQuery {
            product: Some(ProductId(9)),
            from: from(2),
            ..base.clone()
        })
        .await,
        100
    );
    assert_eq!(
        charged(UsageQuery {
            product: Some(ProductId(8)),
            ..base.clone()
        })
        .await,
        0
    );
    let rows = world.figures(&org, query("day,project,key,model")).await;
    let days: Vec<_> = rows.iter().map(|row| row.day.unwrap()).collect();
    assert_eq!(days, [TODAY, Day(TODAY.0 + 1), Day(TODAY.0 + 2)], "in order");
    assert_eq!(rows[0].api_key, Some(None), "a session");
    let project = rows[0].project.as_ref().unwrap().name.as_deref();
    assert!(project.unwrap().starts_with("project"), "{project:?}");
    assert_eq!(rows[2].model.as_ref().unwrap().name.as_deref(), Some("model-2"));
}

async fn no_count_of_tokens_keeps_a_charge_from_being_stored(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("Acme", nano(10)).await;
    for _ in 0..3 {
        let call = world.hold(&org, nano(1)).await.unwrap();
        let mut capture = capture(call, org.id, &project, vec![line(Payee::Platform, nano(1))]);
        capture.usage.tokens.input = u64::MAX / 2;
        world.db.ledger().capture(capture).await.unwrap();
    }
    let rows = world.figures(&org, query("day")).await;
    assert_eq!((rows.len(), rows[0].calls, sum(&rows)), (1, 3, nano(3)));
    assert_eq!(
        rows[0].tokens.unwrap().input,
        u64::MAX / 2,
        "as much as can be counted"
    );
}

async fn receipts_are_listed_by_project_time_and_page(db: impl Database) {
    let mut world = World::over(db).await;
    let (org, first) = world.funded("Acme", nano(1_000)).await;
    let second = world.project(&org).await;
    let mut calls = Vec::new();
    for number in 0..6u32 {
        let used = Used {
            project: [&first, &second][usize::from(number % 2 == 1)],
            key: None,
            model: 1,
            day: number,
            lines: vec![line(Payee::Platform, nano(1))],
        };
        calls.push(world.used(org.id, used).await);
    }
    let books = world.db.books();
    let listed = async |filter, after, limit, offset| {
        let page = Page::new(limit, offset).unwrap();
        let listed = books.listed_receipts(filter, after, page).await.unwrap();
        let of = |receipt: &haithe_billing::receipt::Receipt| receipt.call;
        (listed.items.iter().map(of).collect::<Vec<_>>(), listed.total)
    };
    let all = ReceiptFilter::of(org.id);
    assert_eq!(listed(all, None, 200, 0).await, (calls.clone(), 6));
    assert_eq!(listed(all, None, 2, 3).await, (calls[3..5].to_vec(), 6));
    assert_eq!(
        listed(all, Some(calls[3]), 200, 0).await,
        (calls[4..].to_vec(), 6)
    );
    assert_eq!(listed(all, Some(calls[1]), 1, 1).await, (calls[3..4].to_vec(), 6));
    let of_second = ReceiptFilter {
        project: Some(second.id),
        ..all
    };
    assert_eq!(
        listed(of_second, None, 200, 0).await,
        (vec![calls[1], calls[3], calls[5]], 3)
    );
    let between = ReceiptFilter {
        from: Some(NOON.plus(DAY)),
        until: Some(NOON.plus(DAY * 3)),
        ..all
    };
    assert_eq!(
        listed(between, None, 200, 0).await,
        (calls[1..3].to_vec(), 2),
        "the end is not in it"
    );
    assert_eq!(
        listed(ReceiptFilter::of(OrgId(99)), None, 200, 0).await,
        (Vec::new(), 0)
    );
}

on_every_database!(
    figures_sum_to_what_was_charged_however_they_are_told_apart,
    figures_keep_to_what_was_asked_for,
    no_count_of_tokens_keeps_a_charge_from_being_stored,
    receipts_are_listed_by_project_time_and_page,
);
