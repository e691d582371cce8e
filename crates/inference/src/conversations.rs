//! Conversations of wallets with projects: what the chat shows, and what memory is made of.
//!
//! A conversation belongs to one wallet, in one project, on one organization's account
//! ([`Owner`]); to everybody else, and to the same wallet elsewhere, it does not exist.
//! [`Conversations`] owns the rules, [`ConversationStore`] keeps the rows; how long a project's
//! messages live is the project's own setting, which [`Retention`] enforces.

mod error;
mod model;
mod ports;
mod retention;
mod search;

pub use error::ConversationError;
pub use model::{
    Conversation, ConversationId, Message, MessageId, MessageText, NewConversation, NewMessage, Owner,
    Sender, Title,
};
#[cfg(any(test, feature = "mocks"))]
pub use ports::MockConversationStore;
pub use ports::{ConversationStore, Cut, NotStored, Quota};
pub use retention::Retention;
pub use search::SearchQuery;

use haithe_kernel::{Clock, Listed, Page, Random};
use std::sync::Arc;

/// Which messages of a conversation are asked for, as the caller wrote it.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// Only those after this one.
    pub after: Option<MessageId>,
    /// Only those before this one.
    pub before: Option<MessageId>,
    /// Only those with all of these words.
    pub text: Option<String>,
}

/// The use cases. Every one is about conversations of one owner.
pub struct Conversations {
    store: Arc<dyn ConversationStore>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    quota: Quota,
}

impl Conversations {
    /// Composes the use case. `quota` bounds what one wallet keeps, over all its projects.
    pub fn new(
        store: Arc<dyn ConversationStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        quota: Quota,
    ) -> Self {
        Self {
            store,
            clock,
            random,
            quota,
        }
    }

    /// The owner's conversations, the one that changed last first; with `text`, those whose title or
    /// messages have all of its words.
    ///
    /// # Errors
    /// [`ConversationError::Search`], or the store's.
    pub async fn list(
        &self,
        owner: Owner,
        text: Option<&str>,
        page: Page,
    ) -> Result<Listed<Conversation>, ConversationError> {
        let query = parsed(text)?;
        Ok(self.store.list(owner, query, page).await?)
    }

    /// Begins a conversation; without a title it is called `New Conversation xxxxxxxx`.
    ///
    /// # Errors
    /// [`ConversationError::Title`], or [`ConversationError::TooMany`] when the wallet has its fill.
    pub async fn create(&self, owner: Owner, title: Option<&str>) -> Result<Conversation, ConversationError> {
        let title = match title {
            Some(title) => title.parse()?,
            None => Title::of_new(self.random.bytes16()),
        };
        let new = NewConversation {
            owner,
            title,
            at: self.clock.now(),
        };
        Ok(self.store.create(new, self.quota).await?)
    }

    /// One conversation.
    ///
    /// # Errors
    /// [`ConversationError::NotFound`], also when it is somebody else's.
    pub async fn find(&self, owner: Owner, id: ConversationId) -> Result<Conversation, ConversationError> {
        let found = self.store.find(owner, id).await?;
        found.ok_or(ConversationError::NotFound)
    }

    /// Gives it another title.
    ///
    /// # Errors
    /// [`ConversationError::Title`], [`ConversationError::NotFound`].
    pub async fn rename(
        &self,
        owner: Owner,
        id: ConversationId,
        title: &str,
    ) -> Result<Conversation, ConversationError> {
        let title = title.parse()?;
        let renamed = self.store.rename(owner, id, title, self.clock.now()).await?;
        renamed.ok_or(ConversationError::NotFound)
    }

    /// Deletes it with all its messages, for good.
    ///
    /// # Errors
    /// [`ConversationError::NotFound`], the second time too.
    pub async fn delete(&self, owner: Owner, id: ConversationId) -> Result<(), ConversationError> {
        if self.store.delete(owner, id).await? {
            Ok(())
        } else {
            Err(ConversationError::NotFound)
        }
    }

    /// Messages of a conversation, oldest first. Pages count from the newest message (or from
    /// `before`) backwards, so that the first page is what a chat shows; with `after`, forwards from it.
    ///
    /// # Errors
    /// [`ConversationError::Search`], [`ConversationError::NotFound`].
    pub async fn messages(
        &self,
        owner: Owner,
        id: ConversationId,
        filter: MessageFilter,
        page: Page,
    ) -> Result<Listed<Message>, ConversationError> {
        let cut = Cut {
            after: filter.after,
            before: filter.before,
            query: parsed(filter.text.as_deref())?,
        };
        let messages = self.store.messages(owner, id, cut, page).await?;
        messages.ok_or(ConversationError::NotFound)
    }

    /// Appends one message.
    ///
    /// # Errors
    /// [`ConversationError::EmptyMessage`], [`ConversationError::MessageTooLarge`],
    /// [`ConversationError::Full`], [`ConversationError::NotFound`].
    pub async fn say(
        &self,
        owner: Owner,
        id: ConversationId,
        sender: Sender,
        text: String,
    ) -> Result<Message, ConversationError> {
        let message = NewMessage {
            sender,
            text: text.try_into()?,
        };
        let appended = self.append(owner, id, vec![message]).await?;
        appended.into_iter().next().ok_or(ConversationError::NotFound)
    }

    /// Appends messages that belong together, all or none: a question and its answer.
    ///
    /// # Errors
    /// [`ConversationError::Full`], [`ConversationError::NotFound`].
    pub async fn append(
        &self,
        owner: Owner,
        id: ConversationId,
        messages: Vec<NewMessage>,
    ) -> Result<Vec<Message>, ConversationError> {
        let now = self.clock.now();
        let appended = self.store.append(owner, id, messages, now, self.quota).await?;
        appended.ok_or(ConversationError::NotFound)
    }
}

/// A search without words searches for nothing in particular: it is none.
fn parsed(text: Option<&str>) -> Result<Option<SearchQuery>, ConversationError> {
    match text {
        Some(text) => SearchQuery::of_all(text),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests;
