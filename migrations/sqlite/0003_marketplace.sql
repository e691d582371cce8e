-- What creators sell, what they say about it, which projects use it, and the sealed content that is hosted here.

CREATE TABLE creators (
    wallet_address BLOB NOT NULL PRIMARY KEY CHECK (length(wallet_address) = 20),
    identity_id INTEGER NOT NULL,
    uri TEXT NOT NULL,
    pub_key TEXT NOT NULL,
    payout_address BLOB CHECK (length(payout_address) = 20), -- in effect before next_payout_at
    next_payout_address BLOB CHECK (length(next_payout_address) = 20), -- replaces it from then on
    next_payout_at INTEGER,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `price_units` and `price_per_call` are the price in force at the indexed head: the index moves an announced price
-- there once a block's time reaches `next_price_at`, and notes that time in `price_rose_at` for a rewind. `on_chain`
-- is explained in 0002_organizations.sql.
CREATE TABLE products (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    address BLOB NOT NULL CHECK (length(address) = 20),
    created_tx BLOB NOT NULL CHECK (length(created_tx) = 32),
    created_block INTEGER NOT NULL, -- the address counts as confirmed once this block is
    orchestrator_index INTEGER NOT NULL, -- from 1
    creator BLOB NOT NULL CHECK (length(creator) = 20),
    name TEXT NOT NULL,
    uri TEXT NOT NULL,
    encrypted_key TEXT NOT NULL,
    category TEXT NOT NULL, -- as on chain, known to us or not
    price_units TEXT, -- NULL: beyond 128 bits
    price_per_call INTEGER, -- NULL: beyond our range, which makes the product unusable
    next_price_units TEXT, -- NULL: no announced price, or one beyond 128 bits
    next_price INTEGER, -- NULL: no announced price, or one beyond our range
    next_price_at INTEGER, -- NULL: no announced price
    price_rose_at INTEGER, -- when the last announced price came into force
    retired INTEGER NOT NULL DEFAULT 0 CHECK (retired IN (0, 1)),
    created_at INTEGER NOT NULL,
    on_chain INTEGER NOT NULL CHECK (on_chain IN (0, 1)),
    UNIQUE (address, created_tx)
) STRICT;

CREATE UNIQUE INDEX products_by_address ON products (address) WHERE on_chain = 1;
CREATE INDEX products_by_creator ON products (creator, id);
CREATE INDEX products_by_price ON products (price_per_call IS NULL, price_per_call, id) WHERE on_chain = 1;
CREATE INDEX products_by_next_price_at ON products (next_price_at) WHERE next_price_at IS NOT NULL;
CREATE INDEX products_by_price_rose_at ON products (price_rose_at) WHERE price_rose_at IS NOT NULL;

-- Products that an organization's contract accepts calls to, up to a price.
CREATE TABLE org_products (
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    product_id INTEGER NOT NULL REFERENCES products (id),
    max_price_units TEXT, -- NULL: beyond 128 bits, which is no limit
    PRIMARY KEY (org_id, product_id)
) STRICT, WITHOUT ROWID;

-- What creators say about their products.
CREATE TABLE product_pages (
    product_id INTEGER PRIMARY KEY REFERENCES products (id),
    description TEXT,
    photo_url TEXT
) STRICT;

-- Why a product's content, as published now, can never be used. A row holds for one uri only.
CREATE TABLE product_faults (
    product_id INTEGER PRIMARY KEY REFERENCES products (id),
    content_uri TEXT NOT NULL,
    reason TEXT NOT NULL,
    field TEXT,
    pointer TEXT,
    found_at INTEGER NOT NULL
) STRICT;

-- `content_uri` is the content that the project accepted, as its address on chain with its SHA-256; `follow_updates`
-- says that the project uses whatever the creator publishes later.
CREATE TABLE project_products (
    project_id INTEGER NOT NULL REFERENCES projects (id),
    product_id INTEGER NOT NULL REFERENCES products (id),
    enabled_at INTEGER NOT NULL,
    content_uri TEXT NOT NULL,
    follow_updates INTEGER NOT NULL CHECK (follow_updates IN (0, 1)),
    PRIMARY KEY (project_id, product_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX project_products_by_product ON project_products (product_id);

-- Sealed content, by its SHA-256. What is kept is ciphertext: only the enclave can read it.
CREATE TABLE contents (
    id INTEGER PRIMARY KEY,
    sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
    bytes INTEGER NOT NULL CHECK (bytes > 0), -- how many
    created_at INTEGER NOT NULL,
    -- Since when no product refers to this content, as the sweeper found; NULL while one does, or when it was
    -- uploaded after the last sweep.
    unreferenced_since INTEGER
) STRICT;

-- Beside the rows that quotas are summed over, which stay small.
CREATE TABLE content_bytes (
    content_id INTEGER PRIMARY KEY REFERENCES contents (id) ON DELETE CASCADE,
    bytes BLOB NOT NULL
) STRICT;

-- The same content is kept once, and counts for every wallet that uploaded it.
CREATE TABLE content_owners (
    wallet_address BLOB NOT NULL CHECK (length(wallet_address) = 20),
    content_id INTEGER NOT NULL REFERENCES contents (id),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (wallet_address, content_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX content_owners_by_content ON content_owners (content_id);

CREATE TRIGGER contents_without_owner AFTER DELETE ON content_owners
WHEN NOT EXISTS (SELECT 1 FROM content_owners WHERE content_id = OLD.content_id)
BEGIN DELETE FROM contents WHERE id = OLD.content_id; END;
