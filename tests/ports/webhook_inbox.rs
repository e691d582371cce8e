//! [`WebhookInbox`]: what webhooks received, and the answers on their way to receivers.

use crate::{
    database::{Database, NOON, on_every_database},
    webhooks::{URL, later, new, prepared, secret},
    world::{act, wallet},
};
use bytes::Bytes;
use haithe_inference::webhooks::{
    Delivery, Due, EventId, EventKey, Message, MessageState, NewEvent, NewWebhook, Outcome, Received,
    Webhook, WebhookChange, WebhookId,
};
use haithe_kernel::{Page, Timestamp};
use haithe_orgs::Project;
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

fn event(webhook: &Webhook, id: &str, otherwise: Option<&'static str>) -> NewEvent {
    NewEvent {
        webhook: webhook.id,
        key: EventKey::of(id),
        at: NOON,
        otherwise: otherwise.map(|body| Bytes::from_static(body.as_bytes())),
    }
}

async fn receive(db: &impl Database, event: NewEvent) -> Received {
    db.webhook_inbox().receive(event).await.unwrap()
}

async fn fresh(db: &impl Database, webhook: &Webhook, id: &str) -> EventId {
    match receive(db, event(webhook, id, None)).await {
        Received::New(event) => event,
        other => panic!("{other:?}"),
    }
}

async fn close(db: &impl Database, event: EventId, outcome: Outcome) {
    db.webhook_inbox().close(event, outcome, NOON).await.unwrap();
}

async fn all_due(db: &impl Database, now: Timestamp) -> Vec<Due> {
    let again = now.plus(Duration::from_secs(120));
    db.webhook_inbox().due(now, again, 16).await.unwrap()
}

async fn due(db: &impl Database, now: Timestamp) -> Vec<Delivery> {
    let ready = |due| match due {
        Due::Ready(delivery) => *delivery,
        Due::Unreadable { event, .. } => panic!("{event:?} cannot be read"),
    };
    all_due(db, now).await.into_iter().map(ready).collect()
}

fn body(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

async fn a_message_is_new_to_one_of_many(db: impl Database) {
    let (world, _, project, made) = prepared(db).await;
    let inbox = world.db.webhook_inbox();
    let all = (0..16).map(|_| {
        let inbox = Arc::clone(&inbox);
        let event = event(&made, "msg", None);
        tokio::spawn(async move { inbox.receive(event).await.unwrap() })
    });
    let mut new = 0;
    for received in futures::future::join_all(all).await {
        match received.unwrap() {
            Received::New(_) => new += 1,
            other => assert_eq!(other, Received::InFlight),
        }
    }
    assert_eq!(new, 1);
    // The same name at another webhook is another message.
    let other = world
        .db
        .webhooks()
        .create(new_of(&project), 20, act(wallet(1)))
        .await
        .unwrap()
        .unwrap();
    fresh(&world.db, &other, "msg").await;
}

fn new_of(project: &Project) -> NewWebhook {
    new(project, 2, None)
}

async fn each_outcome_is_what_the_next_try_is_told(db: impl Database) {
    let (world, _, _, made) = prepared(db).await;
    let mut expected = Vec::new();
    for (id, outcome, then) in [
        (
            "kept",
            Outcome::Keep(Some(body("{\"a\":1}"))),
            Some(Received::Answered(Some(body("{\"a\":1}")))),
        ),
        ("large", Outcome::Keep(None), Some(Received::Answered(None))),
        (
            "delivered",
            Outcome::Deliver(body("{}")),
            Some(Received::Delivering),
        ),
        ("lost", Outcome::Lost, Some(Received::Lost)),
        ("forgotten", Outcome::Forget, None),
    ] {
        let event = fresh(&world.db, &made, id).await;
        close(&world.db, event, outcome).await;
        // A second end changes nothing.
        close(&world.db, event, Outcome::Lost).await;
        expected.push((id, then));
    }
    let world = world.reopened().await;
    for (id, then) in expected {
        let received = receive(&world.db, event(&made, id, None)).await;
        match then {
            Some(then) => assert_eq!(received, then, "{id}"),
            None => assert!(matches!(received, Received::New(_)), "{id}"),
        }
    }
}

async fn an_answer_is_due_until_it_is_delivered(db: impl Database) {
    let (world, _, _, made) = prepared(db).await;
    let inbox = world.db.webhook_inbox();
    let event = fresh(&world.db, &made, "msg").await;
    assert!(due(&world.db, later(1)).await.is_empty());
    close(&world.db, event, Outcome::Deliver(body("{\"said\":1}"))).await;
    let found = due(&world.db, NOON).await;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].event, found[0].attempts), (event, 0));
    assert_eq!(found[0].webhook, made);
    assert_eq!(found[0].body, body("{\"said\":1}"));
    assert_eq!(found[0].secret.expose(), secret(1).expose());
    // Somebody has it in hand; if nothing is heard of it, it is due again.
    assert!(due(&world.db, later(119)).await.is_empty());
    assert_eq!(due(&world.db, later(120)).await.len(), 1);
    inbox.undelivered(event, Some(later(500))).await.unwrap();
    assert!(due(&world.db, later(499)).await.is_empty());
    let world = world.reopened().await;
    let found = due(&world.db, later(500)).await;
    assert_eq!((found.len(), found[0].attempts), (1, 1));
    world.db.webhook_inbox().delivered(event).await.unwrap();
    assert!(due(&world.db, later(100_000)).await.is_empty());
    assert_eq!(
        receive(&world.db, self::event(&made, "msg", None)).await,
        Received::Delivering
    );
}

async fn what_is_given_up_is_never_due(db: impl Database) {
    let (world, _, project, made) = prepared(db).await;
    let event = fresh(&world.db, &made, "one").await;
    close(&world.db, event, Outcome::Deliver(body("{}"))).await;
    world.db.webhook_inbox().undelivered(event, None).await.unwrap();
    assert!(due(&world.db, later(100_000)).await.is_empty());
    // Nor is that of a webhook that delivers no more, also when it does again.
    let event = fresh(&world.db, &made, "two").await;
    close(&world.db, event, Outcome::Deliver(body("{}"))).await;
    let turn = |enabled| WebhookChange {
        enabled: Some(enabled),
        ..WebhookChange::default()
    };
    let store = world.db.webhooks();
    for enabled in [false, true] {
        store
            .change(project.id, made.id, turn(enabled), act(wallet(1)))
            .await
            .unwrap();
        assert!(due(&world.db, later(1)).await.is_empty());
    }
}

async fn one_webhook_s_many_answers_leave_room_for_others(db: impl Database) {
    let (world, _, project, made) = prepared(db).await;
    let other = NewWebhook {
        delivery_url: Some(URL.parse().unwrap()),
        ..new(&project, 2, None)
    };
    let other = world
        .db
        .webhooks()
        .create(other, 20, act(wallet(1)))
        .await
        .unwrap()
        .unwrap();
    for number in 0..20 {
        let event = fresh(&world.db, &made, &format!("msg {number}")).await;
        close(&world.db, event, Outcome::Deliver(body("{}"))).await;
    }
    let last = fresh(&world.db, &other, "msg").await;
    close(&world.db, last, Outcome::Deliver(body("{}"))).await;
    let found = due(&world.db, NOON).await;
    assert!(found.len() < 16, "few of one webhook");
    assert!(found.iter().any(|delivery| delivery.event == last));
}

async fn what_a_restart_cuts_off_is_lost_or_delivered_otherwise(db: impl Database) {
    let (world, _, _, made) = prepared(db).await;
    let inline = fresh(&world.db, &made, "inline").await;
    let queued = receive(&world.db, event(&made, "queued", Some("{\"failed\":1}"))).await;
    let done = fresh(&world.db, &made, "done").await;
    close(&world.db, done, Outcome::Keep(None)).await;
    let world = world.reopened().await;
    let inbox = world.db.webhook_inbox();
    assert_eq!(inbox.interrupted(NOON).await.unwrap(), 2);
    assert_eq!(
        receive(&world.db, event(&made, "inline", None)).await,
        Received::Lost
    );
    let found = due(&world.db, NOON).await;
    assert_eq!(found.len(), 1);
    assert_eq!(Received::New(found[0].event), queued);
    assert_eq!(found[0].body, body("{\"failed\":1}"));
    // Whoever still answers is too late.
    close(&world.db, inline, Outcome::Keep(None)).await;
    assert_eq!(
        receive(&world.db, event(&made, "inline", None)).await,
        Received::Lost
    );
}

async fn messages_are_listed_newest_first_with_what_has_become_of_them(db: impl Database) {
    let (world, _, _, made) = prepared(db).await;
    let inbox = world.db.webhook_inbox();
    let deliver = || Some(Outcome::Deliver(body("{}")));
    let mut expected = Vec::new();
    for (id, outcome, state) in [
        ("running", None, MessageState::Answering),
        ("kept", Some(Outcome::Keep(None)), MessageState::Answered),
        ("lost", Some(Outcome::Lost), MessageState::Lost),
        ("waiting", deliver(), MessageState::Waiting),
        ("delivered", deliver(), MessageState::Delivered),
        ("given up", deliver(), MessageState::Undelivered),
    ] {
        let event = fresh(&world.db, &made, id).await;
        if let Some(outcome) = outcome {
            close(&world.db, event, outcome).await;
        }
        match state {
            MessageState::Delivered => inbox.delivered(event).await.unwrap(),
            MessageState::Undelivered => inbox.undelivered(event, None).await.unwrap(),
            _ => {}
        }
        let tried = matches!(state, MessageState::Delivered | MessageState::Undelivered);
        expected.push(Message {
            id: event,
            key: EventKey::of(id),
            state,
            attempts: u32::from(tried),
            due_at: (state == MessageState::Waiting).then_some(NOON),
            received_at: NOON,
        });
    }
    expected.reverse();
    let listed = inbox.list(made.id, Page::FIRST).await.unwrap();
    assert_eq!((listed.items, listed.total), (expected.clone(), 6));
    let page = inbox.list(made.id, Page::new(2, 1).unwrap()).await.unwrap();
    assert_eq!(page.items, expected[1..3]);
    let other = WebhookId(Uuid::from_u128(99));
    assert_eq!(inbox.list(other, Page::FIRST).await.unwrap().total, 0);
}

async fn old_messages_are_forgotten_and_those_under_way_are_not(db: impl Database) {
    let (world, _, project, made) = prepared(db).await;
    let inbox = world.db.webhook_inbox();
    let kept = fresh(&world.db, &made, "kept").await;
    close(&world.db, kept, Outcome::Keep(None)).await;
    let waiting = fresh(&world.db, &made, "waiting").await;
    close(&world.db, waiting, Outcome::Deliver(body("{}"))).await;
    let running = fresh(&world.db, &made, "running").await;
    assert_eq!(inbox.sweep(NOON).await.unwrap(), 0);
    assert_eq!(inbox.sweep(later(1)).await.unwrap(), 1);
    fresh(&world.db, &made, "kept").await;
    assert_eq!(due(&world.db, NOON).await.len(), 1);
    // With the webhook its messages go; whoever still answers finds nothing to close.
    world
        .db
        .webhooks()
        .delete(project.id, made.id, act(wallet(1)))
        .await
        .unwrap();
    close(&world.db, running, Outcome::Keep(None)).await;
    assert!(due(&world.db, later(100_000)).await.is_empty());
}

/// Finding 19: an answer that does not open holds up no other, and its webhook can be listed and deleted.
async fn an_answer_that_does_not_open_holds_up_no_other(db: impl Database) {
    let (world, _, project, made) = prepared(db).await;
    let (broken, whole) = (
        fresh(&world.db, &made, "broken").await,
        fresh(&world.db, &made, "whole").await,
    );
    let elsewhere = world.db.webhook_inbox_under(9);
    elsewhere
        .close(broken, Outcome::Deliver(body("{}")), NOON)
        .await
        .unwrap();
    close(&world.db, whole, Outcome::Deliver(body("{}"))).await;
    let found = all_due(&world.db, NOON).await;
    let [
        Due::Unreadable {
            event,
            webhook,
            attempts,
        },
        Due::Ready(ready),
    ] = found.as_slice()
    else {
        panic!("{found:?}");
    };
    assert_eq!((*event, *webhook, *attempts), (broken, made.id, 0));
    assert_eq!(ready.event, whole);
    // It is due again like any other, and given up in the end.
    let inbox = world.db.webhook_inbox();
    inbox.undelivered(broken, Some(later(500))).await.unwrap();
    inbox.delivered(whole).await.unwrap();
    let found = all_due(&world.db, later(500)).await;
    assert!(
        matches!(found[..], [Due::Unreadable { attempts: 1, .. }]),
        "{found:?}"
    );
    inbox.undelivered(broken, None).await.unwrap();
    assert!(all_due(&world.db, later(100_000)).await.is_empty());

    // The webhook's own address does not open under another key.
    let elsewhere = world.db.webhooks_under(9);
    let listed = elsewhere
        .of_project(project.id, haithe_kernel::Page::FIRST)
        .await
        .unwrap();
    assert_eq!((listed.total, listed.items[0].id), (1, made.id));
    assert_eq!(listed.items[0].delivery_url, None);
    let deleted = elsewhere
        .delete(project.id, made.id, act(wallet(1)))
        .await
        .unwrap();
    assert_eq!(deleted.map(|webhook| webhook.id), Some(made.id));
}

on_every_database!(
    a_message_is_new_to_one_of_many,
    each_outcome_is_what_the_next_try_is_told,
    an_answer_is_due_until_it_is_delivered,
    what_is_given_up_is_never_due,
    one_webhook_s_many_answers_leave_room_for_others,
    what_a_restart_cuts_off_is_lost_or_delivered_otherwise,
    messages_are_listed_newest_first_with_what_has_become_of_them,
    old_messages_are_forgotten_and_those_under_way_are_not,
    an_answer_that_does_not_open_holds_up_no_other,
);
