-- Texts that clients compose themselves, and keys bound to routes.

-- A challenge lives five minutes: those under way are simply asked for again.
DROP TABLE challenges;

CREATE TABLE challenges (
    id INTEGER PRIMARY KEY,
    wallet_address BLOB NOT NULL CHECK (length(wallet_address) = 20),
    digest BLOB NOT NULL CHECK (length(digest) = 32), -- EIP-191, of the text as it was given
    nonce_hash BLOB NOT NULL CHECK (length(nonce_hash) = 32), -- SHA-256
    site TEXT NOT NULL, -- the Origin of the site it was issued for
    ip TEXT,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    UNIQUE (wallet_address, digest),
    UNIQUE (wallet_address, nonce_hash)
) STRICT;

CREATE INDEX challenges_by_expiry ON challenges (expires_at);

ALTER TABLE api_keys
ADD COLUMN scope_routes TEXT CHECK (scope_routes IS NULL OR json_valid(scope_routes)); -- JSON list of families
