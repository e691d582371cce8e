//! [`ConversationStore`](haithe_inference::conversations::ConversationStore): private, paged, searchable,
//! bounded, and forgotten in time.

mod forgetting;
mod messages;
mod search;

use crate::{
    database::{Database, NOON},
    world::{World, wallet},
};
use haithe_inference::conversations::{
    Conversation, ConversationId, Cut, Message, NewConversation, NewMessage, Owner, Quota, SearchQuery,
    Sender,
};
use haithe_kernel::{Page, Timestamp, Usdt};
use std::time::Duration;

const AMPLE: Quota = Quota {
    conversations: 100,
    bytes: 10_000_000,
};

/// Two projects of two organizations, and who speaks with them.
struct Scene<D> {
    world: World<D>,
    owner: Owner,
    /// Who else there is: another wallet, another project, another payer.
    others: [Owner; 3],
}

fn later(seconds: u64) -> Timestamp {
    NOON.plus(Duration::from_secs(seconds))
}

fn words(text: &str) -> SearchQuery {
    SearchQuery::of(text).unwrap()
}

fn texts(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.text.as_str()).collect()
}

fn said(sender: Sender, text: &str) -> NewMessage {
    NewMessage {
        sender,
        text: text.to_owned().try_into().unwrap(),
    }
}

async fn scene<D: Database>(db: D) -> Scene<D> {
    let mut world = World::over(db).await;
    let (org, project) = world.funded("acme", Usdt::ZERO).await;
    let (other_org, _) = world.funded("other", Usdt::ZERO).await;
    let other_project = world.project(&org).await;
    let owner = Owner {
        wallet: wallet(1),
        org: org.id,
        project: project.id,
    };
    let others = [
        Owner {
            wallet: wallet(2),
            ..owner
        },
        Owner {
            project: other_project.id,
            ..owner
        },
        Owner {
            org: other_org.id,
            ..owner
        },
    ];
    Scene { world, owner, others }
}

impl<D: Database> Scene<D> {
    async fn begin(&self, owner: Owner, title: &str, at: Timestamp) -> Conversation {
        let new = NewConversation {
            owner,
            title: title.parse().unwrap(),
            at,
        };
        self.world.db.conversations().create(new, AMPLE).await.unwrap()
    }

    async fn append(&self, id: ConversationId, messages: &[&str], at: Timestamp) -> Vec<Message> {
        let messages = messages.iter().map(|text| said(Sender::User, text)).collect();
        let store = self.world.db.conversations();
        let appended = store.append(self.owner, id, messages, at, AMPLE).await.unwrap();
        appended.expect("the owner's conversation")
    }

    async fn titles(&self, owner: Owner, query: Option<&str>, page: Page) -> (Vec<String>, u64) {
        let store = self.world.db.conversations();
        let listed = store.list(owner, query.map(words), page).await.unwrap();
        let titles = listed.items.iter().map(|one| one.title.as_str().to_owned());
        (titles.collect(), listed.total)
    }

    async fn found(&self, id: ConversationId, cut: Cut) -> Vec<String> {
        let store = self.world.db.conversations();
        let found = store.messages(self.owner, id, cut, Page::FIRST).await.unwrap();
        let found = found.unwrap();
        assert_eq!(found.items.len() as u64, found.total);
        texts(&found.items).into_iter().map(str::to_owned).collect()
    }
}

fn matching(text: &str) -> Cut {
    Cut {
        query: Some(words(text)),
        ..Cut::default()
    }
}
