-- Webhooks of projects, and messages that came through them.

CREATE TABLE webhooks (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    project_id INTEGER NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    wallet_address BLOB NOT NULL CHECK (length(wallet_address) = 20), -- for whom it acts
    secret BLOB NOT NULL, -- sealed (crates/encryption)
    delivery_url BLOB, -- sealed: its query may hold a credential
    enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    created_at INTEGER NOT NULL,
    rotated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX webhooks_by_project ON webhooks (project_id, created_at);

-- A row for each webhook-id, so that none is answered twice.
CREATE TABLE webhook_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook_id BLOB NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event_key BLOB NOT NULL CHECK (length(event_key) = 32), -- SHA-256 of the webhook-id
    -- running: being answered. kept: answered inline. waiting: to be delivered at `due_at`.
    -- delivered, undelivered: delivery has ended. lost: interrupted before its answer was kept.
    state TEXT NOT NULL CHECK (state IN ('running', 'kept', 'waiting', 'delivered', 'undelivered', 'lost')),
    -- Sealed: the answer; while running, what to deliver if that is interrupted.
    content BLOB,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER CHECK ((due_at IS NOT NULL) = (state = 'waiting')),
    received_at INTEGER NOT NULL,
    UNIQUE (webhook_id, event_key)
) STRICT;

CREATE INDEX webhook_events_due ON webhook_events (due_at) WHERE state = 'waiting';
CREATE INDEX webhook_events_running ON webhook_events (id) WHERE state = 'running';
CREATE INDEX webhook_events_by_age ON webhook_events (received_at);
