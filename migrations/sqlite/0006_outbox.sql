-- Transactions of ours on their way to the chain.

CREATE TABLE chain_tx (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    purpose TEXT NOT NULL,
    signer BLOB NOT NULL CHECK (length(signer) = 20),
    to_address BLOB CHECK (length(to_address) = 20), -- NULL: deploys a contract
    data BLOB NOT NULL,
    on_behalf BLOB CHECK (length(on_behalf) = 20),
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

-- Signed before they are sent; never deleted, because any of them may still be mined.
CREATE TABLE chain_tx_attempt (
    id INTEGER PRIMARY KEY,
    tx_id INTEGER NOT NULL REFERENCES chain_tx (id),
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    raw BLOB NOT NULL,
    max_fee_per_gas TEXT NOT NULL,
    max_priority_fee_per_gas TEXT NOT NULL,
    gas_limit INTEGER NOT NULL,
    cancels INTEGER NOT NULL CHECK (cancels IN (0, 1)),
    sent_at INTEGER NOT NULL
) STRICT;

CREATE INDEX chain_tx_attempt_by_tx ON chain_tx_attempt (tx_id, id);
