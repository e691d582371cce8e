//! Figures for Prometheus: what is counted, and how it is shown.
//!
//! Every service has its own registry, so that two in one process do not mix. Handles are made once
//! and kept: counting costs an addition, not a look-up by name. Labels come from bounded sets only:
//! route templates, statuses, providers and models of the catalogue.

mod figures;
mod process;
mod scrape;
mod serve;

pub use figures::{CallFigures, ClosedConnection, Embedded, Figures, Open, Refused};
pub use scrape::{Scrape, SenderFigures, Sources};
pub use serve::serve_metrics;

/// Every figure: its name, its kind, and what it says. `docs/OPERATIONS.md` prints it.
pub const CATALOGUE: &[(&str, &str, &str)] = &[
    (
        "haithe_requests_total",
        "counter",
        "Requests, by method, route and status",
    ),
    (
        "haithe_request_seconds",
        "histogram",
        "Time to the head of the answer, by method and route",
    ),
    (
        "haithe_rate_limited_total",
        "counter",
        "Requests refused, by the limit that is reached (requests, tokens, concurrency, bodies) and whose it is",
    ),
    (
        "haithe_calls_total",
        "counter",
        "Charged calls, by model, provider, outcome and whether streamed",
    ),
    (
        "haithe_call_seconds",
        "histogram",
        "Calls from admission to their charge on disk, by whether streamed",
    ),
    (
        "haithe_gateway_seconds",
        "histogram",
        "Of a JSON call, what is ours: all but the provider's time",
    ),
    (
        "haithe_first_token_seconds",
        "histogram",
        "Of streams, from admission to the first token, by provider",
    ),
    ("haithe_hold_seconds", "histogram", "Setting a call's money aside"),
    ("haithe_capture_seconds", "histogram", "Writing a call's charge"),
    (
        "haithe_upstream_total",
        "counter",
        "Attempts at providers, by provider and outcome",
    ),
    (
        "haithe_upstream_seconds",
        "histogram",
        "Until a provider begins its answer, by provider",
    ),
    (
        "haithe_embedder_total",
        "counter",
        "Requests to the embedder of knowledge, by outcome (answered, refused, malformed, unavailable)",
    ),
    (
        "haithe_embedder_texts_total",
        "counter",
        "Texts sent to it: pieces of documents, and questions",
    ),
    (
        "haithe_tokens_total",
        "counter",
        "Tokens, by model and kind (input, cached, output, reasoning)",
    ),
    ("haithe_charged_nano_usdt_total", "counter", "Money charged"),
    (
        "haithe_lost_nano_usdt_total",
        "counter",
        "What calls cost beyond what their payers had",
    ),
    ("haithe_open_connections", "gauge", "Connections of clients"),
    (
        "haithe_closed_connections_total",
        "counter",
        "Connections closed to keep a limit: client (the client has as many as it may have), room (idle, closed for a new one)",
    ),
    ("haithe_open_streams", "gauge", "Streamed answers under way"),
    (
        "haithe_calls_under_way",
        "gauge",
        "Calls under way: until the charge is on disk, also when the caller has left",
    ),
    (
        "haithe_circuits_open",
        "gauge",
        "Models that calls of all payers are kept away from because they keep failing, by provider",
    ),
    (
        "haithe_writer_queue",
        "gauge",
        "Writes that wait for the database's writer, 1024 at most; on PostgreSQL, writes that are under way",
    ),
    (
        "haithe_database_reads_total",
        "counter",
        "Reads of the database, by readers: core (logins, paid calls, requests with a credential), public, background",
    ),
    ("haithe_holds", "gauge", "Open holds"),
    ("haithe_held_nano_usdt", "gauge", "Money set aside by open holds"),
    ("haithe_unsettled_nano_usdt", "gauge", "Charged and not settled"),
    ("haithe_index_block", "gauge", "The last indexed block"),
    (
        "haithe_index_lag_seconds",
        "gauge",
        "Age of the last indexed block",
    ),
    (
        "haithe_settlement_lag_seconds",
        "gauge",
        "Age of the oldest charge that waits for settlement",
    ),
    (
        "haithe_ledger_check_age_seconds",
        "gauge",
        "Age of the last completed comparison of the ledger with the chain; before the first, of the process",
    ),
    (
        "haithe_missing_safeguards",
        "gauge",
        "Safeguards that the deployment or the configuration lacks; 0 on a development chain",
    ),
    (
        "haithe_condition",
        "gauge",
        "1 while a condition is active that an operator must act on, by its name",
    ),
    (
        "haithe_sender_transactions",
        "gauge",
        "The outbox: our transactions, by state (queued, in_flight, mined)",
    ),
    (
        "haithe_sender_oldest_seconds",
        "gauge",
        "Age of the oldest transaction that is not final; 0 when there is none",
    ),
    (
        "haithe_sender_failures",
        "gauge",
        "The sender's steps in a row that failed for want of the node or the database",
    ),
    (
        "haithe_sender_alarms",
        "gauge",
        "What about the sender needs a person",
    ),
    ("haithe_sender_halted", "gauge", "1 when nothing is sent any more"),
    (
        "haithe_task_up",
        "gauge",
        "1 for a background task at work, by task",
    ),
    (
        "haithe_task_restarts_total",
        "counter",
        "How often a background task was restarted, by task",
    ),
    (
        "haithe_rate_subjects",
        "gauge",
        "Addresses, keys, projects and organizations whose rates are remembered, by limit",
    ),
    (
        "process_resident_memory_bytes",
        "gauge",
        "Memory in use, resident",
    ),
    ("process_cpu_seconds_total", "counter", "Processor time used"),
    ("process_open_fds", "gauge", "Open files and sockets"),
    (
        "process_max_fds",
        "gauge",
        "Most files and sockets that may be open",
    ),
    ("process_threads", "gauge", "Threads"),
    (
        "process_start_time_seconds",
        "gauge",
        "When the process started, in seconds since 1970",
    ),
    (
        "haithe_runtime_tasks",
        "gauge",
        "Tasks of the runtime that have not ended",
    ),
];
