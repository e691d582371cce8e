//! Stores whose reads must not delay logins and paid calls.

use haithe_billing::ports::{Books, ChainIndex, ChainStats, SettlementStore, TxOutbox};
use haithe_identity::ports::Waitlist;
use haithe_inference::{
    conversations::ConversationStore,
    webhooks::{WebhookInbox, WebhookStore},
};
use haithe_marketplace::{
    hosting::ContentStore,
    ports::{CreatorStore, ProductStore},
};
use haithe_orgs::ports::RoleStore;
use std::sync::Arc;

/// The stores of requests without a credential: their reads wait for each other only.
#[derive(Clone)]
pub struct PublicStores {
    /// Creators, for the market.
    pub creators: Arc<dyn CreatorStore>,
    /// Products, for the market.
    pub products: Arc<dyn ProductStore>,
    /// Sealed content, for downloads.
    pub contents: Arc<dyn ContentStore>,
    /// Webhooks, which are read before the signature of a message can be checked.
    pub webhooks: Arc<dyn WebhookStore>,
    /// The waiting list.
    pub waitlist: Arc<dyn Waitlist>,
    /// The index of the chain, for readiness.
    pub index: Arc<dyn ChainIndex>,
    /// Counts of transactions, for statistics.
    pub chain_stats: Arc<dyn ChainStats>,
}

/// The stores of background tasks: their reads wait for each other only.
#[derive(Clone)]
pub struct BackgroundStores {
    /// The index of the chain, for the indexer and for metrics.
    pub index: Arc<dyn ChainIndex>,
    /// Transactions of the server's key, for the sender.
    pub outbox: Arc<dyn TxOutbox>,
    /// Decisions about roles that contracts do not have yet.
    pub roles: Arc<dyn RoleStore>,
    /// Unsettled calls and batches, for settlement.
    pub settlements: Arc<dyn SettlementStore>,
    /// The ledger's books, for its periodic check.
    pub books: Arc<dyn Books>,
    /// Creators, for the expiry of content.
    pub creators: Arc<dyn CreatorStore>,
    /// Sealed content, for its expiry.
    pub contents: Arc<dyn ContentStore>,
    /// Conversations, for their retention.
    pub conversations: Arc<dyn ConversationStore>,
    /// Messages of webhooks, for deliveries.
    pub webhook_inbox: Arc<dyn WebhookInbox>,
}
