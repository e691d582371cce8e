-- Batches: what was settled, line by line, and what every receipt proves.

CREATE TABLE batches (
    seq INTEGER PRIMARY KEY CHECK (seq >= 0),
    root BLOB NOT NULL CHECK (length(root) = 32),
    sealed_at INTEGER NOT NULL,
    -- From its own event, once seen:
    settled_tx BLOB CHECK (length(settled_tx) = 32),
    settled_block INTEGER,
    settled_at INTEGER,
    chain_hash BLOB CHECK (length(chain_hash) = 32),
    final INTEGER NOT NULL DEFAULT 0 CHECK (final IN (0, 1)),
    CHECK ((settled_block IS NULL) = (settled_tx IS NULL)),
    CHECK ((settled_block IS NULL) = (settled_at IS NULL)),
    CHECK (final = 0 OR settled_block IS NOT NULL)
) STRICT;

CREATE INDEX batches_open ON batches (seq) WHERE final = 0;
CREATE INDEX batches_by_time ON batches (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX batches_by_block ON batches (settled_block) WHERE settled_block IS NOT NULL;

CREATE TABLE batch_lines (
    seq INTEGER NOT NULL REFERENCES batches (seq),
    line INTEGER NOT NULL CHECK (line >= 0),
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    address BLOB NOT NULL CHECK (length(address) = 20),
    skipped TEXT, -- why, once seen: insufficient_funds, daily_cap, ...
    PRIMARY KEY (seq, line)
) STRICT, WITHOUT ROWID;

CREATE INDEX batch_lines_by_org ON batch_lines (org_id, seq);

CREATE TABLE batch_credits (
    seq INTEGER NOT NULL,
    line INTEGER NOT NULL,
    position INTEGER NOT NULL,
    payee TEXT NOT NULL, -- platform, creator/0x<address>, org/<id>
    address BLOB NOT NULL CHECK (length(address) = 20),
    units TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (seq, line, position),
    FOREIGN KEY (seq, line) REFERENCES batch_lines (seq, line)
) STRICT, WITHOUT ROWID;

CREATE INDEX batch_credits_by_payee ON batch_credits (payee, seq) WHERE payee <> 'platform';

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
CREATE INDEX batch_items_by_line ON batch_items (seq, line);

-- What an organization owes a payee from earlier batches because it was below a base unit.
CREATE TABLE settlement_carry (
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    payee TEXT NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (org_id, payee)
) STRICT, WITHOUT ROWID;

-- How each batch changed that, so that a skipped line can give it back.
CREATE TABLE batch_carry (
    seq INTEGER NOT NULL REFERENCES batches (seq),
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    payee TEXT NOT NULL,
    before INTEGER NOT NULL,
    after INTEGER NOT NULL,
    PRIMARY KEY (seq, org_id, payee)
) STRICT, WITHOUT ROWID;

-- What the ledger keeps about an organization beside its accounts.
CREATE TABLE org_books (
    org_id INTEGER PRIMARY KEY REFERENCES organizations (id),
    dust INTEGER NOT NULL DEFAULT 0, -- base units of confirmed deposits that are below a nano
    daily_cap TEXT, -- base units; the tightest in force or scheduled; NULL: none
    skips_since INTEGER NOT NULL DEFAULT 0 -- batch from which on skipped lines count
) STRICT;
