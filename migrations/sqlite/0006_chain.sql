-- The index of the chain: raw events, the facts about money that follow from them, and counts for statistics.

-- One chain and one orchestrator; never changes.
CREATE TABLE chain_binding (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    chain_id INTEGER NOT NULL,
    orchestrator BLOB NOT NULL CHECK (length(orchestrator) = 20),
    start_block INTEGER NOT NULL,
    decimals INTEGER NOT NULL CHECK (decimals BETWEEN 6 AND 18), -- of the payment token
    confirmed INTEGER NOT NULL DEFAULT -1, -- facts at or below this block count as confirmed
    last_final INTEGER NOT NULL DEFAULT -1, -- facts at or below this block count as final
    withdrawal_delay INTEGER CHECK (withdrawal_delay > 0) -- the contracts', in seconds; NULL: not read yet
) STRICT;

-- The newest blocks, by which a reorganization is recognized; the highest is the checkpoint.
CREATE TABLE chain_blocks (
    number INTEGER PRIMARY KEY,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    parent BLOB NOT NULL CHECK (length(parent) = 32),
    time INTEGER NOT NULL
) STRICT;

CREATE TABLE chain_events (
    id INTEGER PRIMARY KEY,
    tx BLOB NOT NULL CHECK (length(tx) = 32),
    log_index INTEGER NOT NULL,
    block INTEGER NOT NULL,
    block_hash BLOB NOT NULL CHECK (length(block_hash) = 32),
    block_time INTEGER NOT NULL,
    kind TEXT NOT NULL,
    subject BLOB CHECK (length(subject) = 20), -- the organization, product or creator it is about
    body TEXT NOT NULL CHECK (json_valid(body)),
    UNIQUE (tx, log_index)
) STRICT;

CREATE INDEX chain_events_by_block ON chain_events (block, log_index);
CREATE INDEX chain_events_by_subject ON chain_events (subject, block, log_index) WHERE subject IS NOT NULL;
CREATE INDEX chain_events_by_tx_subject ON chain_events (tx, subject);
CREATE INDEX chain_events_of_pauses ON chain_events (block, log_index) WHERE kind IN ('paused', 'unpaused');

CREATE TABLE deposits (
    id INTEGER PRIMARY KEY REFERENCES chain_events (id),
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    block INTEGER NOT NULL,
    units TEXT, -- NULL: beyond 128 bits
    amount INTEGER CHECK (amount >= 0), -- NULL: out of our range; such a deposit is never booked
    dust INTEGER NOT NULL CHECK (dust >= 0), -- base units below a nano, not credited
    confirmed INTEGER NOT NULL DEFAULT 0 CHECK (confirmed IN (0, 1))
) STRICT;

CREATE INDEX deposits_by_block ON deposits (block);
CREATE INDEX deposits_unconfirmed ON deposits (block) WHERE confirmed = 0;
CREATE INDEX deposits_unconfirmed_by_org ON deposits (org_id) WHERE confirmed = 0;

CREATE TABLE withdrawals (
    id INTEGER PRIMARY KEY REFERENCES chain_events (id),
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    block INTEGER NOT NULL,
    units TEXT, -- as requested; NULL: beyond 128 bits
    frozen INTEGER NOT NULL CHECK (frozen >= 0), -- what was frozen for it
    clamped INTEGER NOT NULL CHECK (clamped IN (0, 1)), -- more than the ledger can count: halts all spending
    ready_at INTEGER NOT NULL, -- in the contract's active time
    -- How it ended on chain, from first sight:
    ended TEXT CHECK (ended IN ('executed', 'cancelled')),
    ended_block INTEGER,
    paid_units TEXT,
    -- How it was booked, once that was final:
    booked TEXT CHECK (booked IN ('executed', 'cancelled', 'void')),
    booked_block INTEGER,
    dust_change INTEGER NOT NULL DEFAULT 0, -- base units
    CHECK ((ended IS NULL) = (ended_block IS NULL)),
    CHECK ((booked IS NULL) = (booked_block IS NULL))
) STRICT;

CREATE INDEX withdrawals_by_block ON withdrawals (block);
CREATE INDEX withdrawals_by_org ON withdrawals (org_id, id);
CREATE INDEX withdrawals_open ON withdrawals (id) WHERE booked IS NULL;
CREATE INDEX withdrawals_ended ON withdrawals (ended_block) WHERE ended_block IS NOT NULL;
CREATE INDEX withdrawals_booked ON withdrawals (booked_block) WHERE booked_block IS NOT NULL;

-- Violations that cannot be repaired here: the operator decides.
CREATE TABLE alarms (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    block INTEGER NOT NULL,
    raised_at INTEGER NOT NULL,
    UNIQUE (kind, detail, block)
) STRICT;

-- Transactions on chain are counted as their events are stored and deleted, so that statistics cost what they show and
-- not what the index holds.

CREATE TABLE chain_counts (
    subject BLOB NOT NULL PRIMARY KEY CHECK (length(subject) = 20),
    transactions INTEGER NOT NULL CHECK (transactions >= 0),
    listed TEXT CHECK (listed IN ('organization', 'product')) -- what it is on chain now; NULL: neither
) STRICT, WITHOUT ROWID;

CREATE INDEX chain_counts_busiest ON chain_counts (listed, transactions DESC, subject) WHERE listed IS NOT NULL;

CREATE TRIGGER chain_events_subject_counted AFTER INSERT ON chain_events
WHEN new.subject IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM chain_events WHERE tx = new.tx AND subject = new.subject AND id <> new.id
)
BEGIN
    INSERT INTO chain_counts (subject, transactions) VALUES (new.subject, 1)
    ON CONFLICT DO UPDATE SET transactions = transactions + 1;
END;

CREATE TRIGGER chain_events_subject_uncounted AFTER DELETE ON chain_events
WHEN old.subject IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM chain_events WHERE tx = old.tx AND subject = old.subject
)
BEGIN
    UPDATE chain_counts SET transactions = transactions - 1 WHERE subject = old.subject;
END;

-- An organization or product may be indexed before its first event, or after it.

CREATE TRIGGER organizations_listed AFTER INSERT ON organizations WHEN new.on_chain = 1
BEGIN
    INSERT INTO chain_counts (subject, transactions, listed) VALUES (new.address, 0, 'organization')
    ON CONFLICT DO UPDATE SET listed = 'organization';
END;

CREATE TRIGGER organizations_relisted AFTER UPDATE OF on_chain ON organizations
BEGIN
    UPDATE chain_counts SET listed = iif(new.on_chain = 1, 'organization', NULL) WHERE subject = new.address;
END;

CREATE TRIGGER products_listed AFTER INSERT ON products WHEN new.on_chain = 1
BEGIN
    INSERT INTO chain_counts (subject, transactions, listed) VALUES (new.address, 0, 'product')
    ON CONFLICT DO UPDATE SET listed = 'product';
END;

CREATE TRIGGER products_relisted AFTER UPDATE OF on_chain ON products
BEGIN
    UPDATE chain_counts SET listed = iif(new.on_chain = 1, 'product', NULL) WHERE subject = new.address;
END;

-- Transactions with an event of the orchestrator's contracts; a transfer is the token's.
CREATE TABLE chain_totals (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    transactions INTEGER NOT NULL CHECK (transactions >= 0)
) STRICT;

INSERT INTO chain_totals (id, transactions) VALUES (1, 0);

CREATE TRIGGER chain_events_counted AFTER INSERT ON chain_events
WHEN new.kind <> 'transfer' AND NOT EXISTS (
    SELECT 1 FROM chain_events WHERE tx = new.tx AND kind <> 'transfer' AND id <> new.id
)
BEGIN
    UPDATE chain_totals SET transactions = transactions + 1;
END;

CREATE TRIGGER chain_events_uncounted AFTER DELETE ON chain_events
WHEN old.kind <> 'transfer' AND NOT EXISTS (
    SELECT 1 FROM chain_events WHERE tx = old.tx AND kind <> 'transfer'
)
BEGIN
    UPDATE chain_totals SET transactions = transactions - 1;
END;
