-- Login challenges are counted by client network; transactions on chain are counted as they come.

-- Login challenges, by client network.

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

-- Transactions on chain are counted as their events come and go, so that the statistics cost what they show
-- and not what the index holds.

CREATE INDEX chain_events_by_tx_subject ON chain_events (tx, subject);

CREATE TABLE chain_counts (
    subject BLOB NOT NULL PRIMARY KEY CHECK (length(subject) = 20),
    transactions INTEGER NOT NULL CHECK (transactions >= 0),
    listed TEXT CHECK (listed IN ('organization', 'product')) -- what it is on chain now; NULL: neither
) STRICT, WITHOUT ROWID;

CREATE INDEX chain_counts_busiest ON chain_counts (listed, transactions DESC, subject) WHERE listed IS NOT NULL;

INSERT INTO chain_counts
SELECT
    subject,
    count(DISTINCT tx),
    CASE
        WHEN EXISTS (SELECT 1 FROM organizations WHERE address = subject AND on_chain = 1) THEN 'organization'
        WHEN EXISTS (SELECT 1 FROM products WHERE address = subject AND on_chain = 1) THEN 'product'
    END
FROM chain_events WHERE subject IS NOT NULL GROUP BY subject;

CREATE TRIGGER chain_events_subject_counted AFTER INSERT ON chain_events
WHEN new.subject IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM chain_events WHERE tx = new.tx AND subject = new.subject AND id <> new.id
)
BEGIN
    INSERT INTO chain_counts VALUES (new.subject, 1, NULL)
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
    INSERT INTO chain_counts VALUES (new.address, 0, 'organization')
    ON CONFLICT DO UPDATE SET listed = 'organization';
END;

CREATE TRIGGER organizations_relisted AFTER UPDATE OF on_chain ON organizations
BEGIN
    UPDATE chain_counts SET listed = iif(new.on_chain = 1, 'organization', NULL) WHERE subject = new.address;
END;

CREATE TRIGGER products_listed AFTER INSERT ON products WHEN new.on_chain = 1
BEGIN
    INSERT INTO chain_counts VALUES (new.address, 0, 'product')
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

INSERT INTO chain_totals SELECT 1, count(DISTINCT tx) FROM chain_events WHERE kind <> 'transfer';

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

-- Our own transactions that are mined, by their signer.
CREATE TABLE chain_tx_counts (
    signer BLOB NOT NULL PRIMARY KEY CHECK (length(signer) = 20),
    mined INTEGER NOT NULL CHECK (mined >= 0)
) STRICT, WITHOUT ROWID;

INSERT INTO chain_tx_counts
SELECT signer, count(*) FROM chain_tx WHERE mined_hash IS NOT NULL GROUP BY signer;

CREATE TRIGGER chain_tx_mined AFTER UPDATE OF mined_hash ON chain_tx
WHEN old.mined_hash IS NULL AND new.mined_hash IS NOT NULL
BEGIN
    INSERT INTO chain_tx_counts VALUES (new.signer, 1) ON CONFLICT DO UPDATE SET mined = mined + 1;
END;

CREATE TRIGGER chain_tx_unmined AFTER UPDATE OF mined_hash ON chain_tx
WHEN old.mined_hash IS NOT NULL AND new.mined_hash IS NULL
BEGIN
    UPDATE chain_tx_counts SET mined = mined - 1 WHERE signer = new.signer;
END;
