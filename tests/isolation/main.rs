//! Tenant isolation: no tenant can harm another tenant, the operator or the platform.
//!
//! Each module covers one kind of attack. Tests run the service over HTTP with real contracts on
//! the development chain and a scripted provider.

mod amounts;
mod call_permits;
mod caller_departures;
mod circuit_breaker;
mod client_network;
mod clocks;
mod connection_limits;
mod contract_logins;
mod deployment;
mod deterministic_addresses;
mod document_reader;
mod failed_work;
mod gas_budgets;
mod housekeeping;
mod ledger_check;
mod payer_limits;
mod product_content;
mod project_names;
mod project_work;
mod public_reads;
mod relay;
mod restored_backup;
mod settlement_capacity;
mod threat_model;
mod token_counting;
mod unknown_fields;
mod unpayable_credits;
mod visibility;
