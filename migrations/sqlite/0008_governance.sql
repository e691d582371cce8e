-- Who decided what in organizations: settings, roles as decided and as the chain has them, the audit.

ALTER TABLE organizations ADD COLUMN pending_owner BLOB CHECK (length(pending_owner) = 20);

-- No row: nothing was ever set.
CREATE TABLE org_settings (
    org_id INTEGER PRIMARY KEY REFERENCES organizations (id),
    default_model_id INTEGER, -- NULL: the service's
    prompt_log TEXT NOT NULL CHECK (prompt_log IN ('none', 'metadata', 'full')),
    ip_allowlist TEXT NOT NULL CHECK (json_valid(ip_allowlist)) -- JSON list of networks; empty: everybody
) STRICT;

-- The role that each wallet has in the organization's contract, as the index has seen it.
CREATE TABLE org_chain_roles (
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    wallet_address BLOB NOT NULL CHECK (length(wallet_address) = 20),
    role INTEGER NOT NULL CHECK (role IN (1, 2)), -- member, administrator
    PRIMARY KEY (org_id, wallet_address)
) STRICT, WITHOUT ROWID;

INSERT OR REPLACE INTO org_chain_roles (org_id, wallet_address, role)
SELECT organizations.id, unhex(substr(body ->> '$.RoleChanged.wallet', 3)), body ->> '$.RoleChanged.role'
FROM chain_events JOIN organizations ON organizations.address = subject AND on_chain = 1
WHERE kind = 'role_changed' AND body ->> '$.RoleChanged.role' IN (1, 2)
  AND NOT EXISTS (
      SELECT 1 FROM chain_events AS later
      WHERE later.subject = chain_events.subject AND later.kind = 'role_changed'
        AND later.body ->> '$.RoleChanged.wallet' = chain_events.body ->> '$.RoleChanged.wallet'
        AND (later.block, later.log_index) > (chain_events.block, chain_events.log_index)
  );

-- The newest decision made here about a wallet's role. The chain's own decisions are its events; the
-- later of the two holds.
CREATE TABLE org_role_decisions (
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    wallet_address BLOB NOT NULL CHECK (length(wallet_address) = 20),
    version INTEGER NOT NULL, -- counts the decisions about this wallet
    role TEXT CHECK (role IN ('admin', 'member')), -- NULL: none
    decided_by BLOB NOT NULL CHECK (length(decided_by) = 20),
    decided_at INTEGER NOT NULL,
    after_block INTEGER NOT NULL, -- events up to this block were known; later ones overrule the decision
    sent INTEGER, -- the newest version that was handed to the outbox
    open INTEGER NOT NULL CHECK (open IN (0, 1)), -- may still need a transaction of ours
    PRIMARY KEY (org_id, wallet_address)
) STRICT, WITHOUT ROWID;

CREATE INDEX org_role_decisions_open ON org_role_decisions (decided_at) WHERE open = 1;
CREATE INDEX org_role_decisions_by_block ON org_role_decisions (after_block);

INSERT INTO org_role_decisions
    (org_id, wallet_address, version, role, decided_by, decided_at, after_block, sent, open)
SELECT org_id, wallet_address, 1, role, wallet_address, org_members.created_at,
       coalesce((SELECT max(number) FROM chain_blocks), -1), NULL, 1
FROM org_members WHERE from_chain = 0;

-- Changes of a role on chain that a later decision overruled and whose block is gone: when the
-- transaction is mined again, it does not overrule the decision.
CREATE TABLE org_roles_overruled (
    tx BLOB NOT NULL CHECK (length(tx) = 32),
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    wallet_address BLOB NOT NULL CHECK (length(wallet_address) = 20),
    PRIMARY KEY (tx, org_id, wallet_address)
) STRICT, WITHOUT ROWID;

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
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_log_remains BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;

-- Lists that grow.
CREATE INDEX org_members_by_age ON org_members (org_id, created_at DESC, wallet_address);
