-- Login challenges are counted by client network, not by address.

-- A challenge lives five minutes: clients request a new one.
DROP TABLE challenges;

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
