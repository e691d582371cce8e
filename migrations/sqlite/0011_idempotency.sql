-- Requests that may come twice, and their answers.

CREATE TABLE idempotency_slots (
    id INTEGER PRIMARY KEY,
    slot BLOB NOT NULL UNIQUE CHECK (length(slot) = 32), -- a hash of the caller, the route and the key
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32), -- a hash of the request
    work BLOB NOT NULL UNIQUE CHECK (length(work) = 16), -- usage_records.call, should it be charged
    wallet_address BLOB NOT NULL CHECK (length(wallet_address) = 20),
    state TEXT NOT NULL CHECK (state IN ('in_flight', 'answered', 'too_large', 'lost')),
    answer BLOB, -- sealed, for `slot`
    bytes INTEGER NOT NULL DEFAULT 0 CHECK (bytes >= 0), -- of the answer
    claimed_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    CHECK ((state = 'answered') = (answer IS NOT NULL)),
    CHECK ((state = 'answered') = (bytes > 0))
) STRICT;

CREATE INDEX idempotency_slots_by_expiry ON idempotency_slots (expires_at);
CREATE INDEX idempotency_slots_in_flight ON idempotency_slots (work) WHERE state = 'in_flight';
CREATE INDEX idempotency_slots_answered ON idempotency_slots (wallet_address, id) WHERE state = 'answered';

-- How many slots, and how many bytes of answers, each wallet has. Triggers count, so that its bounds are read and not
-- summed up; a wallet without slots has no row.
CREATE TABLE idempotency_wallets (
    wallet_address BLOB NOT NULL PRIMARY KEY CHECK (length(wallet_address) = 20),
    slots INTEGER NOT NULL CHECK (slots >= 0),
    bytes INTEGER NOT NULL CHECK (bytes >= 0)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER idempotency_slots_counted AFTER INSERT ON idempotency_slots
BEGIN
    INSERT INTO idempotency_wallets (wallet_address, slots, bytes) VALUES (NEW.wallet_address, 1, NEW.bytes)
    ON CONFLICT DO UPDATE SET slots = slots + 1, bytes = bytes + NEW.bytes;
END;
CREATE TRIGGER idempotency_answers_counted AFTER UPDATE OF bytes ON idempotency_slots
BEGIN
    UPDATE idempotency_wallets SET bytes = bytes + NEW.bytes - OLD.bytes WHERE wallet_address = NEW.wallet_address;
END;
CREATE TRIGGER idempotency_slots_discounted AFTER DELETE ON idempotency_slots
BEGIN
    UPDATE idempotency_wallets SET slots = slots - 1, bytes = bytes - OLD.bytes
    WHERE wallet_address = OLD.wallet_address;
    DELETE FROM idempotency_wallets WHERE wallet_address = OLD.wallet_address AND slots = 0;
END;
