-- Our own transactions, from the intent to a final block.

CREATE TABLE chain_tx (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    purpose TEXT NOT NULL,
    signer BLOB NOT NULL CHECK (length(signer) = 20),
    to_address BLOB CHECK (length(to_address) = 20), -- NULL: deploys a contract
    data BLOB NOT NULL,
    on_behalf BLOB CHECK (length(on_behalf) = 20), -- the wallet it is sponsored for
    network TEXT, -- the client network that a sponsored transaction was requested from
    nonce INTEGER CHECK (nonce >= 0),
    state TEXT NOT NULL CHECK (state IN ('queued', 'sent', 'mined', 'done', 'failed')),
    mined_hash BLOB CHECK (length(mined_hash) = 32),
    mined_block INTEGER,
    failure TEXT,
    created_at INTEGER NOT NULL,
    UNIQUE (signer, nonce),
    CHECK ((mined_hash IS NULL) = (mined_block IS NULL)),
    CHECK (state NOT IN ('sent', 'mined', 'done') OR nonce IS NOT NULL)
) STRICT;

CREATE INDEX chain_tx_open ON chain_tx (signer, nonce, id) WHERE state IN ('queued', 'sent', 'mined');
CREATE INDEX chain_tx_by_purpose ON chain_tx (purpose, created_at);
-- What sponsored transactions of one purpose are rationed by.
CREATE INDEX chain_tx_by_wallet ON chain_tx (purpose, on_behalf, created_at) WHERE on_behalf IS NOT NULL;
CREATE INDEX chain_tx_by_network ON chain_tx (purpose, network, created_at) WHERE network IS NOT NULL;

-- Stored, signed, before they are sent; never deleted, because any of them may still be mined.
CREATE TABLE chain_tx_attempt (
    id INTEGER PRIMARY KEY,
    tx_id INTEGER NOT NULL REFERENCES chain_tx (id),
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    raw BLOB NOT NULL,
    max_fee_per_gas TEXT NOT NULL, -- wei, like the next
    max_priority_fee_per_gas TEXT NOT NULL,
    gas_limit INTEGER NOT NULL,
    cancels INTEGER NOT NULL CHECK (cancels IN (0, 1)), -- a zero-value self-transfer at the same nonce
    sent_at INTEGER NOT NULL
) STRICT;

CREATE INDEX chain_tx_attempt_by_tx ON chain_tx_attempt (tx_id, id);

-- How many of our transactions are mined, by signer, for statistics.
CREATE TABLE chain_tx_counts (
    signer BLOB NOT NULL PRIMARY KEY CHECK (length(signer) = 20),
    mined INTEGER NOT NULL CHECK (mined >= 0)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER chain_tx_mined AFTER UPDATE OF mined_hash ON chain_tx
WHEN old.mined_hash IS NULL AND new.mined_hash IS NOT NULL
BEGIN
    INSERT INTO chain_tx_counts (signer, mined) VALUES (new.signer, 1)
    ON CONFLICT DO UPDATE SET mined = mined + 1;
END;

CREATE TRIGGER chain_tx_unmined AFTER UPDATE OF mined_hash ON chain_tx
WHEN old.mined_hash IS NOT NULL AND new.mined_hash IS NULL
BEGIN
    UPDATE chain_tx_counts SET mined = mined - 1 WHERE signer = new.signer;
END;
