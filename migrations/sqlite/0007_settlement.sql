-- Batches: what was settled, line by line, and what every receipt proves.

CREATE TABLE batches (
    seq INTEGER PRIMARY KEY CHECK (seq >= 0),
    root BLOB NOT NULL CHECK (length(root) = 32), -- of the tree over the leaves in batch_items
    sealed_at INTEGER NOT NULL,
    -- From its own event, once seen:
    settled_tx BLOB CHECK (length(settled_tx) = 32),
    settled_block INTEGER,
    settled_at INTEGER,
    chain_hash BLOB CHECK (length(chain_hash) = 32),
    payouts_skipped INTEGER NOT NULL DEFAULT 0 CHECK (payouts_skipped IN (0, 1)),
    final INTEGER NOT NULL DEFAULT 0 CHECK (final IN (0, 1)),
    CHECK ((settled_block IS NULL) = (settled_tx IS NULL)),
    CHECK ((settled_block IS NULL) = (settled_at IS NULL)),
    CHECK (final = 0 OR settled_block IS NOT NULL)
) STRICT;

CREATE INDEX batches_open ON batches (seq) WHERE final = 0;
CREATE INDEX batches_by_time ON batches (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX batches_by_block ON batches (settled_block) WHERE settled_block IS NOT NULL;

-- What one organization pays in a batch.
CREATE TABLE batch_lines (
    seq INTEGER NOT NULL REFERENCES batches (seq),
    line INTEGER NOT NULL CHECK (line >= 0),
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    address BLOB NOT NULL CHECK (length(address) = 20),
    since INTEGER NOT NULL, -- the line's oldest charge: the settlement gate works per organization
    skipped TEXT, -- why, once seen: insufficient_funds, daily_cap, ...
    blamed TEXT, -- whose fault that is: 'payer', a payee as in batch_credits, or not known (NULL)
    PRIMARY KEY (seq, line)
) STRICT, WITHOUT ROWID;

CREATE INDEX batch_lines_by_org ON batch_lines (org_id, seq);
CREATE INDEX batch_lines_skipped ON batch_lines (org_id, seq, skipped, blamed) WHERE skipped IS NOT NULL;

-- What a line pays to each payee.
CREATE TABLE batch_credits (
    seq INTEGER NOT NULL,
    line INTEGER NOT NULL,
    position INTEGER NOT NULL,
    payee TEXT NOT NULL, -- platform, creator/0x<address>, org/<id>
    address BLOB NOT NULL CHECK (length(address) = 20),
    units TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    -- The payee cannot be paid: the platform's share takes the amount, and the ledger keeps it in escrow.
    escrow INTEGER NOT NULL CHECK (escrow IN (0, 1)),
    PRIMARY KEY (seq, line, position),
    FOREIGN KEY (seq, line) REFERENCES batch_lines (seq, line)
) STRICT, WITHOUT ROWID;

CREATE INDEX batch_credits_by_payee ON batch_credits (payee, seq) WHERE payee <> 'platform';

-- What a batch pays out of escrow, in a line of the orchestrator's own behind all others.
CREATE TABLE batch_payouts (
    seq INTEGER NOT NULL REFERENCES batches (seq),
    position INTEGER NOT NULL,
    payee TEXT NOT NULL, -- creator/0x<address>, org/<id>
    address BLOB NOT NULL CHECK (length(address) = 20),
    units TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (seq, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX batch_payouts_by_payee ON batch_payouts (payee, seq);

-- The calls that a batch settles.
CREATE TABLE batch_items (
    seq INTEGER NOT NULL,
    position INTEGER NOT NULL CHECK (position >= 0), -- of the leaf in the tree
    usage_id INTEGER NOT NULL REFERENCES usage_records (id),
    line INTEGER NOT NULL,
    leaf BLOB NOT NULL CHECK (length(leaf) = 32),
    PRIMARY KEY (seq, position),
    FOREIGN KEY (seq, line) REFERENCES batch_lines (seq, line)
) STRICT, WITHOUT ROWID;

CREATE INDEX batch_items_by_usage ON batch_items (usage_id, seq);

-- What an organization owes a payee from earlier batches because it was below a base unit or the smallest credit.
CREATE TABLE settlement_carry (
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    payee TEXT NOT NULL,
    amount INTEGER NOT NULL,
    since INTEGER NOT NULL, -- it is paid after a week, however small it is
    PRIMARY KEY (org_id, payee)
) STRICT, WITHOUT ROWID;

CREATE INDEX settlement_carry_by_age ON settlement_carry (since);

-- How each batch changed that, so that a skipped line can restore it.
CREATE TABLE batch_carry (
    seq INTEGER NOT NULL REFERENCES batches (seq),
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    payee TEXT NOT NULL,
    before INTEGER NOT NULL,
    after INTEGER NOT NULL,
    since INTEGER NOT NULL, -- of the carry before the batch
    PRIMARY KEY (seq, org_id, payee)
) STRICT, WITHOUT ROWID;
