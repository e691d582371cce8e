//! The service: HTTP in front of the domains, and the one place where everything is put together.
//!
//! [`config`] says what to do, [`http`] is what every route shares, [`api`] holds the routes by
//! feature, [`openapi`] their document, [`service`] the process around them. This crate owns axum and every wire shape; it must
//! never decide a rule: handlers parse, call one use case and render.

pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod http;
pub mod openapi;
pub mod service;
pub mod state;
mod wiring;

pub use app::{App, Overrides, StartError};
pub use config::{Config, ConfigError, Sources};
