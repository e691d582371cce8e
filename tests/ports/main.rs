//! Contract suites: one module per port, run for every adapter that claims to implement it.
//!
//! Expectations come from the ports' documentation. A second database adds one line to
//! [`on_every_database`] and inherits everything here.

mod accepted_projects;
mod api_keys;
mod books;
mod bots;
mod chain_index;
mod chain_stats;
mod challenges;
mod chat_model;
mod chat_over_http;
mod contents;
mod conversations;
mod creators;
mod database;
mod directory;
mod earnings;
mod embedder;
mod enclave;
mod figures;
mod governance;
mod idempotency;
mod knowledge_index;
mod ledger;
mod ledger_bounds;
mod ledger_under_random_use;
mod orgs;
mod outbox;
mod postgres;
mod product_uses;
mod products;
mod projects;
mod sessions;
mod settlements;
mod sqlite;
mod tool_servers;
mod treasury;
mod waitlist;
mod webhook_inbox;
mod webhooks;
mod world;
