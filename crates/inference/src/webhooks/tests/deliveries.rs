//! Deliveries.

use super::*;
use haithe_kernel::Redirects;

fn delivery(attempts: u32) -> Delivery {
    Delivery {
        event: EventId(4),
        webhook: webhook(Some("https://a.example/hook")),
        secret: secret(1),
        body: Bytes::from_static(PAYLOAD),
        attempts,
    }
}

/// One try; gives how it ended and when it is due again.
async fn tried(attempts: u32, answer: Result<u16, FetchError>) -> (Attempted, Option<Option<Timestamp>>) {
    let mut inbox = MockWebhookInbox::new();
    inbox
        .expect_due()
        .return_once(move |_, _, _| Ok(vec![Due::Ready(Box::new(delivery(attempts)))]));
    let told = Arc::new(Mutex::new(None));
    let tell = Arc::clone(&told);
    inbox.expect_undelivered().returning(move |_, due| {
        *tell.lock().unwrap() = Some(due);
        Ok(())
    });
    inbox.expect_delivered().returning(|_| Ok(()));
    let mut fetcher = MockFetcher::new();
    fetcher
        .expect_fetch()
        .withf(|request| {
            let header = |name: &str| {
                let found = request.headers.iter().find(|(found, _)| found == name);
                found.map(|(_, value)| value.as_str())
            };
            let signed = Signed::read(
                header("webhook-id"),
                header("webhook-timestamp"),
                header("webhook-signature"),
            )
            .unwrap();
            signed.verifies(&secret(1).for_deliveries(), &request.body)
                && signed.is_fresh(NOW).is_ok()
                && request.url == "https://a.example/hook"
                && request.redirects == Redirects::Refused
                && header("content-type") == Some("application/json")
        })
        .return_once(move |_| {
            answer.map(|status| Fetched {
                status,
                headers: Vec::new(),
                body: Vec::new(),
                url: String::new(),
            })
        });
    let clock: Arc<dyn Clock> = Arc::new(FixedClock::at(NOW));
    let deliveries = Deliveries::new(Arc::new(inbox), Arc::new(fetcher), clock, Arc::new(NoChance));
    let ended = deliveries.step().await.unwrap();
    let due = *told.lock().unwrap();
    (ended[0], due)
}

#[tokio::test]
async fn a_delivery_is_signed_and_over_once_it_is_taken() {
    for status in [200, 202, 204] {
        assert_eq!(tried(0, Ok(status)).await, (Attempted::Delivered, None));
    }
}

#[tokio::test]
async fn what_is_not_taken_is_tried_again_with_growing_pauses_and_given_up_in_the_end() {
    let mut pauses = Vec::new();
    for attempts in 0.. {
        let (ended, due) = tried(attempts, Ok(503)).await;
        match due.unwrap() {
            Some(due) => {
                assert_eq!(ended, Attempted::Postponed(due));
                pauses.push(due.since(NOW));
            }
            None => {
                assert_eq!(ended, Attempted::GivenUp);
                break;
            }
        }
    }
    assert_eq!(pauses.first(), Some(&Duration::from_secs(5)));
    assert!(pauses.windows(2).all(|pair| pair[0] < pair[1]), "{pauses:?}");
    let all: Duration = pauses.iter().sum();
    assert!(all > Duration::from_secs(20 * 3_600) && all < Duration::from_secs(48 * 3_600));
}

#[tokio::test]
async fn what_cannot_get_better_is_given_up_at_once_and_the_rest_is_not() {
    let refused = || FetchError::Refused("private".into());
    for (answer, given_up) in [
        (Ok(410), true),
        (Err(refused()), true),
        (Ok(302), false),
        (Ok(404), false),
        (Ok(500), false),
        (Err(FetchError::Late), false),
        (Err(FetchError::Redirect), false),
        (Err(FetchError::TooLarge), false),
        (Err(FetchError::Unreachable("down".into())), false),
    ] {
        let said = format!("{answer:?}");
        let (ended, due) = tried(0, answer).await;
        assert_eq!(ended == Attempted::GivenUp, given_up, "{said}");
        assert_eq!(due.unwrap().is_none(), given_up, "{said}");
    }
}

/// Finding 19: one answer that cannot be opened holds up no other.
#[tokio::test]
async fn an_unreadable_answer_is_postponed_and_the_others_are_delivered() {
    let mut inbox = MockWebhookInbox::new();
    inbox.expect_due().return_once(|_, _, _| {
        let unreadable = |event, attempts| Due::Unreadable {
            event: EventId(event),
            webhook: webhook(None).id,
            attempts,
        };
        Ok(vec![
            unreadable(1, 0),
            Due::Ready(Box::new(delivery(0))),
            unreadable(2, 8),
        ])
    });
    inbox
        .expect_delivered()
        .withf(|event| event.0 == 4)
        .once()
        .returning(|_| Ok(()));
    inbox
        .expect_undelivered()
        .withf(|event, due| (event.0 == 1) == due.is_some())
        .times(2)
        .returning(|_, _| Ok(()));
    let mut fetcher = MockFetcher::new();
    fetcher.expect_fetch().once().returning(|_| {
        Ok(Fetched {
            status: 200,
            headers: Vec::new(),
            body: Vec::new(),
            url: String::new(),
        })
    });
    let clock: Arc<dyn Clock> = Arc::new(FixedClock::at(NOW));
    let deliveries = Deliveries::new(Arc::new(inbox), Arc::new(fetcher), clock, Arc::new(NoChance));
    let ended = deliveries.step().await.unwrap();
    assert!(matches!(
        ended[..],
        [Attempted::Postponed(_), Attempted::Delivered, Attempted::GivenUp]
    ));
}
