-- Organizations, projects, members; and what creators sell.
--
-- `on_chain` rows exist on the indexed chain now. A reorganization that takes the creating event
-- away clears the flag and keeps the row, so that its number is found again when the same
-- transaction is mined again. Another branch may create somebody else's contract at the same
-- address: that is another row.

CREATE TABLE organizations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    organization_uid BLOB NOT NULL UNIQUE CHECK (length(organization_uid) = 16),
    address BLOB NOT NULL CHECK (length(address) = 20),
    created_tx BLOB NOT NULL CHECK (length(created_tx) = 32),
    orchestrator_index INTEGER NOT NULL, -- from 1
    chain_name TEXT NOT NULL, -- as created; never changes
    name TEXT NOT NULL, -- as shown
    owner BLOB NOT NULL CHECK (length(owner) = 20),
    created_at INTEGER NOT NULL,
    on_chain INTEGER NOT NULL CHECK (on_chain IN (0, 1)),
    deleted_at INTEGER,
    UNIQUE (address, created_tx)
) STRICT;

CREATE UNIQUE INDEX organizations_by_address ON organizations (address) WHERE on_chain = 1;
CREATE INDEX organizations_by_owner ON organizations (owner, id);
CREATE INDEX organizations_by_chain_name ON organizations (chain_name);

CREATE TABLE org_members (
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    wallet_address BLOB NOT NULL CHECK (length(wallet_address) = 20),
    role TEXT NOT NULL CHECK (role IN ('admin', 'member')),
    created_at INTEGER NOT NULL,
    from_chain INTEGER NOT NULL CHECK (from_chain IN (0, 1)), -- made by an on-chain event
    PRIMARY KEY (org_id, wallet_address)
) STRICT, WITHOUT ROWID;

CREATE INDEX org_members_by_wallet ON org_members (wallet_address, org_id);

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
    search_enabled INTEGER NOT NULL DEFAULT 0 CHECK (search_enabled IN (0, 1)),
    memory_enabled INTEGER NOT NULL DEFAULT 0 CHECK (memory_enabled IN (0, 1)),
    memory_window INTEGER NOT NULL DEFAULT 30 CHECK (memory_window BETWEEN 0 AND 100),
    memory_retention_days INTEGER CHECK (memory_retention_days BETWEEN 0 AND 65535),
    default_model_id INTEGER NOT NULL,
    price_per_call INTEGER NOT NULL DEFAULT 0 CHECK (price_per_call >= 0),
    public INTEGER NOT NULL DEFAULT 0 CHECK (public IN (0, 1)),
    created_at INTEGER NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1)) -- usage records still name it
) STRICT;

CREATE INDEX projects_by_org ON projects (org_id, id);

CREATE TABLE project_members (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES projects (id),
    wallet_address BLOB NOT NULL CHECK (length(wallet_address) = 20),
    role TEXT NOT NULL CHECK (role IN ('admin', 'developer', 'viewer')),
    UNIQUE (project_id, wallet_address)
) STRICT;

CREATE INDEX project_members_by_wallet ON project_members (wallet_address, project_id);

CREATE TABLE creators (
    wallet_address BLOB NOT NULL PRIMARY KEY CHECK (length(wallet_address) = 20),
    identity_id INTEGER NOT NULL,
    uri TEXT NOT NULL,
    pub_key TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE products (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    address BLOB NOT NULL CHECK (length(address) = 20),
    created_tx BLOB NOT NULL CHECK (length(created_tx) = 32),
    orchestrator_index INTEGER NOT NULL, -- from 1
    creator BLOB NOT NULL CHECK (length(creator) = 20),
    name TEXT NOT NULL,
    uri TEXT NOT NULL,
    encrypted_key TEXT NOT NULL,
    category TEXT NOT NULL, -- the chain's word, known to us or not
    price_units TEXT, -- NULL: beyond 128 bits
    price_per_call INTEGER, -- NULL: beyond our range, which makes the product unusable
    retired INTEGER NOT NULL DEFAULT 0 CHECK (retired IN (0, 1)),
    created_at INTEGER NOT NULL,
    on_chain INTEGER NOT NULL CHECK (on_chain IN (0, 1)),
    UNIQUE (address, created_tx)
) STRICT;

CREATE UNIQUE INDEX products_by_address ON products (address) WHERE on_chain = 1;
CREATE INDEX products_by_creator ON products (creator, id);

-- Products that an organization's contract accepts calls to, up to a price.
CREATE TABLE org_products (
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    product_id INTEGER NOT NULL REFERENCES products (id),
    max_price_units TEXT, -- NULL: beyond 128 bits, which is no limit
    PRIMARY KEY (org_id, product_id)
) STRICT, WITHOUT ROWID;
