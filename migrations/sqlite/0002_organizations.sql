-- Organizations, their members, settings and roles, projects, and the audit log.
--
-- `on_chain` rows exist on the indexed chain now. A reorganization that removes the creating event clears the flag
-- and keeps the row, so that its number is found again when the same transaction is mined again. Another branch may
-- create another owner's contract at the same address: that is another row.

CREATE TABLE organizations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    organization_uid BLOB NOT NULL UNIQUE CHECK (length(organization_uid) = 16),
    address BLOB NOT NULL CHECK (length(address) = 20),
    created_tx BLOB NOT NULL CHECK (length(created_tx) = 32),
    created_block INTEGER NOT NULL, -- the address counts as confirmed once this block is
    orchestrator_index INTEGER NOT NULL, -- from 1
    chain_name TEXT NOT NULL, -- as created; never changes
    name TEXT NOT NULL, -- as shown
    owner BLOB NOT NULL CHECK (length(owner) = 20),
    pending_owner BLOB CHECK (length(pending_owner) = 20),
    created_at INTEGER NOT NULL,
    on_chain INTEGER NOT NULL CHECK (on_chain IN (0, 1)),
    deleted_at INTEGER,
    UNIQUE (address, created_tx)
) STRICT;

CREATE UNIQUE INDEX organizations_by_address ON organizations (address) WHERE on_chain = 1;
CREATE INDEX organizations_by_owner ON organizations (owner, id);

-- No row: nothing was ever set.
CREATE TABLE org_settings (
    org_id INTEGER PRIMARY KEY REFERENCES organizations (id),
    default_model_id INTEGER, -- NULL: the service's
    prompt_log TEXT NOT NULL CHECK (prompt_log IN ('none', 'metadata', 'full')),
    ip_allowlist TEXT NOT NULL CHECK (json_valid(ip_allowlist)), -- JSON list of networks; empty: every address
    -- The budget of a new API key of the organization, unless its creator sets another. NULL: no limit.
    default_key_budget_limit INTEGER CHECK (default_key_budget_limit >= 0),
    default_key_budget_window TEXT CHECK (default_key_budget_window IN ('day', 'month', 'total'))
) STRICT;

CREATE TABLE org_members (
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    wallet_address BLOB NOT NULL CHECK (length(wallet_address) = 20),
    role TEXT NOT NULL CHECK (role IN ('admin', 'member')),
    created_at INTEGER NOT NULL,
    from_chain INTEGER NOT NULL CHECK (from_chain IN (0, 1)), -- made by an on-chain event
    PRIMARY KEY (org_id, wallet_address)
) STRICT, WITHOUT ROWID;

CREATE INDEX org_members_by_wallet ON org_members (wallet_address, org_id);
CREATE INDEX org_members_by_age ON org_members (org_id, created_at DESC, wallet_address);

-- The role that each wallet has in the organization's contract, as the index has seen it.
CREATE TABLE org_chain_roles (
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    wallet_address BLOB NOT NULL CHECK (length(wallet_address) = 20),
    role INTEGER NOT NULL CHECK (role IN (1, 2)), -- member, administrator
    PRIMARY KEY (org_id, wallet_address)
) STRICT, WITHOUT ROWID;

-- The newest decision made here about a wallet's role. The chain's own decisions are its events; the later of the two
-- holds.
CREATE TABLE org_role_decisions (
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    wallet_address BLOB NOT NULL CHECK (length(wallet_address) = 20),
    version INTEGER NOT NULL, -- counts the decisions about this wallet
    role TEXT CHECK (role IN ('admin', 'member')), -- NULL: not a member
    decided_by BLOB NOT NULL CHECK (length(decided_by) = 20),
    decided_at INTEGER NOT NULL,
    after_block INTEGER NOT NULL, -- events up to this block were known; later ones overrule the decision
    sent INTEGER, -- the newest version that was handed to the outbox
    open INTEGER NOT NULL CHECK (open IN (0, 1)), -- may still need a transaction of ours
    PRIMARY KEY (org_id, wallet_address)
) STRICT, WITHOUT ROWID;

CREATE INDEX org_role_decisions_open ON org_role_decisions (decided_at) WHERE open = 1;
CREATE INDEX org_role_decisions_by_block ON org_role_decisions (after_block);

-- Role changes on chain that a later decision overruled and whose block is gone: when the transaction is mined again,
-- it does not overrule the decision.
CREATE TABLE org_roles_overruled (
    tx BLOB NOT NULL CHECK (length(tx) = 32),
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    wallet_address BLOB NOT NULL CHECK (length(wallet_address) = 20),
    PRIMARY KEY (tx, org_id, wallet_address)
) STRICT, WITHOUT ROWID;

CREATE TABLE org_model_enrollments (
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    model_id INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, model_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE projects (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_uid BLOB NOT NULL UNIQUE CHECK (length(project_uid) = 16),
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    name_key TEXT NOT NULL, -- by what names are compared (kernel::name_key)
    search_enabled INTEGER NOT NULL DEFAULT 0 CHECK (search_enabled IN (0, 1)),
    memory_enabled INTEGER NOT NULL DEFAULT 0 CHECK (memory_enabled IN (0, 1)),
    memory_window INTEGER NOT NULL DEFAULT 30 CHECK (memory_window BETWEEN 0 AND 100), -- messages
    memory_retention_days INTEGER CHECK (memory_retention_days BETWEEN 0 AND 65535), -- NULL: no limit
    -- Whether calls go on without a product that cannot be loaded.
    skip_unavailable_products INTEGER NOT NULL DEFAULT 0 CHECK (skip_unavailable_products IN (0, 1)),
    default_model_id INTEGER NOT NULL,
    price_per_call INTEGER NOT NULL DEFAULT 0 CHECK (price_per_call >= 0),
    -- A price that applies from a later moment on; both NULL when none is announced.
    next_price_per_call INTEGER CHECK (next_price_per_call >= 0),
    next_price_at INTEGER,
    public INTEGER NOT NULL DEFAULT 0 CHECK (public IN (0, 1)),
    teloxide_token BLOB, -- with which a bot logs in; sealed (crates/encryption), like the next
    discord_token BLOB,
    created_at INTEGER NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1)) -- usage records still name it
) STRICT;

CREATE INDEX projects_by_org ON projects (org_id, id);
-- The name comes first so that no query for the projects of an organization takes this index for projects_by_org.
CREATE UNIQUE INDEX projects_by_name_key ON projects (name_key, org_id) WHERE deleted = 0;

CREATE TABLE project_members (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES projects (id),
    wallet_address BLOB NOT NULL CHECK (length(wallet_address) = 20),
    role TEXT NOT NULL CHECK (role IN ('admin', 'developer', 'viewer')),
    UNIQUE (project_id, wallet_address)
) STRICT;

CREATE INDEX project_members_by_wallet ON project_members (wallet_address, project_id);

-- Public projects of other organizations that an organization pays for, up to a price per call that covers the
-- project and its products.
CREATE TABLE accepted_projects (
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    project_id INTEGER NOT NULL REFERENCES projects (id),
    max_price INTEGER NOT NULL CHECK (max_price >= 0),
    accepted_by BLOB NOT NULL CHECK (length(accepted_by) = 20),
    accepted_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, project_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX accepted_projects_by_project ON accepted_projects (project_id);

-- Every write by a wallet, in the transaction of the change.
CREATE TABLE audit_log (
    id INTEGER PRIMARY KEY,
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    project_id INTEGER,
    actor BLOB NOT NULL CHECK (length(actor) = 20),
    action TEXT NOT NULL,
    subject TEXT, -- the wallet, model or product it was done to
    before TEXT,
    after TEXT,
    at INTEGER NOT NULL,
    ip TEXT,
    request_id TEXT
) STRICT;

CREATE INDEX audit_log_by_org ON audit_log (org_id, id);
CREATE INDEX audit_log_by_action ON audit_log (org_id, action, id);

CREATE TRIGGER audit_log_stays BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_log_remains BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
