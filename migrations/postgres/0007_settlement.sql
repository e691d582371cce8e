-- Batches: what was settled, line by line, and what every receipt proves.

CREATE TABLE batches (
    seq BIGINT PRIMARY KEY CHECK (seq >= 0),
    root BYTEA NOT NULL CHECK (octet_length(root) = 32),
    sealed_at BIGINT NOT NULL,
    -- From its own event, once seen:
    settled_tx BYTEA CHECK (octet_length(settled_tx) = 32),
    settled_block BIGINT,
    settled_at BIGINT,
    chain_hash BYTEA CHECK (octet_length(chain_hash) = 32),
    final BOOLEAN NOT NULL DEFAULT FALSE,
    payouts_skipped BOOLEAN NOT NULL DEFAULT FALSE,
    CHECK ((settled_block IS NULL) = (settled_tx IS NULL)),
    CHECK ((settled_block IS NULL) = (settled_at IS NULL)),
    CHECK (NOT final OR settled_block IS NOT NULL)
);

CREATE INDEX batches_open ON batches (seq) WHERE NOT final;
CREATE INDEX batches_by_time ON batches (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX batches_by_block ON batches (settled_block) WHERE settled_block IS NOT NULL;

CREATE TABLE batch_lines (
    seq BIGINT NOT NULL REFERENCES batches (seq),
    line BIGINT NOT NULL CHECK (line >= 0),
    org_id BIGINT NOT NULL REFERENCES organizations (id),
    address BYTEA NOT NULL CHECK (octet_length(address) = 20),
    since BIGINT NOT NULL, -- its oldest charge
    skipped TEXT COLLATE "C", -- why, once seen: insufficient_funds, daily_cap, ...
    blamed TEXT COLLATE "C", -- whose fault: 'payer', a payee as in batch_credits, or not known (NULL)
    PRIMARY KEY (seq, line)
);

CREATE INDEX batch_lines_by_org ON batch_lines (org_id, seq);
CREATE INDEX batch_lines_skipped ON batch_lines (org_id, seq) WHERE skipped IS NOT NULL;

CREATE TABLE batch_credits (
    seq BIGINT NOT NULL,
    line BIGINT NOT NULL,
    position BIGINT NOT NULL,
    payee TEXT COLLATE "C" NOT NULL, -- platform, creator/0x<address>, org/<id>
    address BYTEA NOT NULL CHECK (octet_length(address) = 20),
    units TEXT COLLATE "C" NOT NULL,
    amount BIGINT NOT NULL CHECK (amount >= 0),
    -- The payee cannot be paid: the platform's share takes the amount, and the ledger keeps it in escrow.
    escrow BOOLEAN NOT NULL,
    PRIMARY KEY (seq, line, position),
    FOREIGN KEY (seq, line) REFERENCES batch_lines (seq, line)
);

CREATE INDEX batch_credits_by_payee ON batch_credits (payee, seq) WHERE payee <> 'platform';

-- Paid out of escrow, in a line of the orchestrator's own behind all others of the batch.
CREATE TABLE batch_payouts (
    seq BIGINT NOT NULL REFERENCES batches (seq),
    position BIGINT NOT NULL,
    payee TEXT COLLATE "C" NOT NULL, -- creator/0x<address>, org/<id>
    address BYTEA NOT NULL CHECK (octet_length(address) = 20),
    units TEXT COLLATE "C" NOT NULL,
    amount BIGINT NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (seq, position)
);

CREATE INDEX batch_payouts_by_payee ON batch_payouts (payee, seq);

CREATE TABLE batch_items (
    seq BIGINT NOT NULL,
    position BIGINT NOT NULL CHECK (position >= 0), -- of the leaf in the tree
    usage_id BIGINT NOT NULL REFERENCES usage_records (id),
    line BIGINT NOT NULL,
    leaf BYTEA NOT NULL CHECK (octet_length(leaf) = 32),
    PRIMARY KEY (seq, position),
    FOREIGN KEY (seq, line) REFERENCES batch_lines (seq, line)
);

CREATE INDEX batch_items_by_usage ON batch_items (usage_id, seq);
CREATE INDEX batch_items_by_line ON batch_items (seq, line);

-- What an organization owes a payee from earlier batches because it was too small to be paid out, and since when.
-- A key without an amount has no row.
CREATE TABLE settlement_carry (
    org_id BIGINT NOT NULL REFERENCES organizations (id),
    payee TEXT COLLATE "C" NOT NULL,
    amount BIGINT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (org_id, payee)
);

CREATE INDEX settlement_carry_by_age ON settlement_carry (since);

-- How each batch changed that, so that a skipped line can give it back.
CREATE TABLE batch_carry (
    seq BIGINT NOT NULL REFERENCES batches (seq),
    org_id BIGINT NOT NULL REFERENCES organizations (id),
    payee TEXT COLLATE "C" NOT NULL,
    before BIGINT NOT NULL,
    after BIGINT NOT NULL,
    since BIGINT NOT NULL, -- of the carry before the batch
    PRIMARY KEY (seq, org_id, payee)
);
