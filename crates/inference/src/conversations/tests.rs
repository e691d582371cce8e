//! The rules, on a store that only expects.

use super::*;
use haithe_kernel::{Failure, FixedClock, MockRandom, OrgId, ProjectId, Timestamp, WalletAddress};

const OWNER: Owner = Owner {
    wallet: WalletAddress::new([1; 20]),
    org: OrgId(2),
    project: ProjectId(3),
};
const ID: ConversationId = ConversationId(7);
const QUOTA: Quota = Quota {
    conversations: 5,
    bytes: 1_000,
};

fn now() -> Timestamp {
    Timestamp::from_seconds(1_700_000_000)
}

fn over(store: MockConversationStore) -> Conversations {
    let mut random = MockRandom::new();
    random.expect_bytes16().returning(|| [0xab; 16]);
    let clock = Arc::new(FixedClock::at(now()));
    Conversations::new(Arc::new(store), clock, Arc::new(random), QUOTA)
}

fn of_new(new: NewConversation) -> Conversation {
    Conversation {
        id: ID,
        title: new.title,
        created_at: new.at,
        updated_at: new.at,
    }
}

fn code<T: std::fmt::Debug>(result: Result<T, ConversationError>) -> &'static str {
    result.unwrap_err().code()
}

#[tokio::test]
async fn a_conversation_without_a_title_gets_one_by_chance() {
    let mut store = MockConversationStore::new();
    store
        .expect_create()
        .withf(|new, quota| new.owner == OWNER && new.at == now() && *quota == QUOTA)
        .returning(|new, _| Ok(of_new(new)));
    let conversations = over(store);
    let made = conversations.create(OWNER, None).await.unwrap();
    assert_eq!(made.title.as_str(), "New Conversation abababab");
    let named = conversations.create(OWNER, Some("  A plan ")).await.unwrap();
    assert_eq!(named.title.as_str(), "A plan");
}

#[tokio::test]
async fn what_cannot_be_shown_never_reaches_the_store() {
    let conversations = over(MockConversationStore::new());
    for title in ["", "   ", "two\nlines", "\u{7}", &"x".repeat(201)] {
        assert_eq!(
            code(conversations.create(OWNER, Some(title)).await),
            "invalid_title"
        );
        assert_eq!(
            code(conversations.rename(OWNER, ID, title).await),
            "invalid_title"
        );
    }
    let say = |text: String| conversations.say(OWNER, ID, Sender::User, text);
    assert_eq!(code(say(" \n".into()).await), "empty_message");
    assert_eq!(code(say("a\0b".into()).await), "empty_message");
    let large = "x".repeat(MessageText::MOST_BYTES + 1);
    assert_eq!(code(say(large).await), "message_too_large");
    let long = "x".repeat(SearchQuery::MOST_CHARS + 1);
    let listed = conversations.list(OWNER, Some(&long), Page::FIRST).await;
    assert_eq!(code(listed), "search_too_long");
}

#[tokio::test]
async fn a_message_is_kept_exactly_as_it_was_said() {
    let text = "  let x = 1;\n\tüß 🦀 \r\n".to_owned();
    let said = text.clone();
    let mut store = MockConversationStore::new();
    store
        .expect_append()
        .withf(move |owner, id, messages, at, quota| {
            let is_it = matches!(messages.as_slice(), [one] if one.text.as_str() == said);
            *owner == OWNER && *id == ID && is_it && *at == now() && *quota == QUOTA
        })
        .returning(|_, _, messages, at, _| {
            let kept = messages.into_iter().map(|message| Message {
                id: MessageId(1),
                sender: message.sender,
                text: message.text,
                created_at: at,
            });
            Ok(Some(kept.collect()))
        });
    let message = over(store).say(OWNER, ID, Sender::Ai, text.clone()).await;
    assert_eq!(message.unwrap().text.as_str(), text);
}

#[tokio::test]
async fn somebody_elses_conversation_is_a_missing_one() {
    let mut store = MockConversationStore::new();
    store.expect_find().returning(|_, _| Ok(None));
    store.expect_rename().returning(|_, _, _, _| Ok(None));
    store.expect_delete().returning(|_, _| Ok(false));
    store.expect_messages().returning(|_, _, _, _| Ok(None));
    store.expect_append().returning(|_, _, _, _, _| Ok(None));
    let conversations = over(store);
    assert_eq!(code(conversations.find(OWNER, ID).await), "not_found");
    assert_eq!(code(conversations.rename(OWNER, ID, "a").await), "not_found");
    assert_eq!(code(conversations.delete(OWNER, ID).await), "not_found");
    let messages = conversations.messages(OWNER, ID, MessageFilter::default(), Page::FIRST);
    assert_eq!(code(messages.await), "not_found");
    let said = conversations.say(OWNER, ID, Sender::User, "hello".into());
    assert_eq!(code(said.await), "not_found");
}

#[tokio::test]
async fn a_full_wallet_is_told_so() {
    let mut store = MockConversationStore::new();
    store.expect_create().returning(|_, quota| {
        Err(NotStored::TooMany {
            most: quota.conversations,
        })
    });
    store
        .expect_append()
        .returning(|_, _, _, _, quota| Err(NotStored::Full { most: quota.bytes }));
    let conversations = over(store);
    assert_eq!(
        code(conversations.create(OWNER, None).await),
        "too_many_conversations"
    );
    let said = conversations.say(OWNER, ID, Sender::User, "hello".into());
    assert_eq!(code(said.await), "conversations_full");
}

#[tokio::test]
async fn a_search_without_words_is_no_search() {
    let mut store = MockConversationStore::new();
    store
        .expect_list()
        .withf(|owner, query, _| *owner == OWNER && query.is_none())
        .returning(|_, _, _| {
            Ok(Listed {
                items: Vec::new(),
                total: 0,
            })
        });
    let listed = over(store).list(OWNER, Some(" \t "), Page::FIRST).await;
    assert_eq!(listed.unwrap().total, 0);
}
