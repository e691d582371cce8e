-- The index of the chain.

-- One chain and one orchestrator, for ever.
CREATE TABLE chain_binding (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    chain_id BIGINT NOT NULL,
    orchestrator BYTEA NOT NULL CHECK (octet_length(orchestrator) = 20),
    start_block BIGINT NOT NULL,
    decimals BIGINT NOT NULL CHECK (decimals BETWEEN 6 AND 18), -- of the payment token
    confirmed BIGINT NOT NULL DEFAULT -1, -- facts at or below this block count as confirmed
    last_final BIGINT NOT NULL DEFAULT -1, -- facts at or below this block count as final
    -- The contracts' withdrawal delay in seconds, as they said it; it never changes. NULL: never asked.
    withdrawal_delay BIGINT CHECK (withdrawal_delay > 0)
);

-- The newest blocks, by which a reorganization is recognized; the highest is the checkpoint.
CREATE TABLE chain_blocks (
    number BIGINT PRIMARY KEY,
    hash BYTEA NOT NULL CHECK (octet_length(hash) = 32),
    parent BYTEA NOT NULL CHECK (octet_length(parent) = 32),
    time BIGINT NOT NULL
);
