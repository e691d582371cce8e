-- Who calls: wallets, challenges, sessions, API keys, and the waitlist. First, what tells our files apart.
--
-- Conventions of every file here: times are microseconds since 1970 (UTC); addresses, hashes and identifiers are raw
-- bytes; money is nano-USDT (10^-9 USDT) unless the column says "units", which are the payment token's base units as
-- decimal text, because they may exceed 64 bits; booleans are 0 or 1.

PRAGMA application_id = 1212238164; -- "HAIT": distinguishes our files from those of other programs

-- Which programs may use the database: those that know at least `oldest_version` of these migrations. A migration that
-- removes what older programs use raises it (docs/ARCHITECTURE.md, "A migration").
CREATE TABLE schema_compatibility (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    oldest_version INTEGER NOT NULL CHECK (oldest_version > 0)
) STRICT;

INSERT INTO schema_compatibility (id, oldest_version) VALUES (1, 1);

CREATE TABLE accounts (
    wallet_address BLOB NOT NULL PRIMARY KEY CHECK (length(wallet_address) = 20),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Login challenges. They are bounded per client network.
CREATE TABLE challenges (
    id INTEGER PRIMARY KEY, -- in the order of insertion
    wallet_address BLOB NOT NULL CHECK (length(wallet_address) = 20),
    digest BLOB NOT NULL CHECK (length(digest) = 32), -- EIP-191, of the text as it was issued
    nonce_hash BLOB NOT NULL CHECK (length(nonce_hash) = 32), -- SHA-256
    site TEXT NOT NULL, -- the Origin of the site it was issued for
    network TEXT, -- the client: an IPv4 address, or the /64 network of an IPv6 address
    site_network TEXT, -- the block that `network` belongs to: /24 for IPv4, /48 for IPv6
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    UNIQUE (wallet_address, digest),
    UNIQUE (wallet_address, nonce_hash)
) STRICT;

CREATE INDEX challenges_by_expiry ON challenges (expires_at);

CREATE TABLE sessions (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32), -- SHA-256 of the token's jti
    wallet_address BLOB NOT NULL REFERENCES accounts (wallet_address),
    ip TEXT,
    user_agent TEXT,
    created_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_wallet ON sessions (wallet_address, created_at);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE api_keys (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    wallet_address BLOB NOT NULL CHECK (length(wallet_address) = 20),
    nonce BLOB NOT NULL CHECK (length(nonce) = 16),
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32), -- SHA-256 of the whole key
    name TEXT NOT NULL,
    is_default INTEGER NOT NULL CHECK (is_default IN (0, 1)),
    -- What the key is limited to; NULL: not limited.
    scope_org INTEGER,
    scope_project INTEGER,
    scope_models TEXT CHECK (scope_models IS NULL OR json_valid(scope_models)), -- JSON list of names
    scope_routes TEXT CHECK (scope_routes IS NULL OR json_valid(scope_routes)), -- JSON list of route families
    expires_at INTEGER,
    budget_limit INTEGER,
    budget_window TEXT CHECK (budget_window IN ('day', 'month', 'total')),
    requests_per_minute INTEGER,
    tokens_per_minute INTEGER,
    issued_at INTEGER NOT NULL,
    last_used_at INTEGER,
    revoked_at INTEGER,
    CHECK ((budget_limit IS NULL) = (budget_window IS NULL))
) STRICT;

CREATE INDEX api_keys_by_wallet ON api_keys (wallet_address, id);
CREATE UNIQUE INDEX api_keys_one_live_default ON api_keys (wallet_address)
WHERE is_default = 1 AND revoked_at IS NULL;

-- Who requested an invitation.
CREATE TABLE waitlist (
    email TEXT NOT NULL PRIMARY KEY, -- lower case
    registered_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
