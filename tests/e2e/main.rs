//! The service as its callers meet it: over HTTP, with a chain, a provider and a database around it.

mod api_keys;
mod bad_input;
mod bots;
mod context_headers;
mod conversations;
mod embeddings;
mod funds;
mod governance;
mod limits;
mod login;
mod market;
mod organizations;
mod outcomes;
mod pass_through;
mod program;
mod recorded_answers;
mod roles;
mod sdk_wire;
mod sessions;
mod settlement;
mod stopping;
mod story;
mod streams;
mod upstream_trouble;
mod webhooks;
mod wire;
