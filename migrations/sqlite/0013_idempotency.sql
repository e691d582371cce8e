-- Requests that may come twice, and their answers.

CREATE TABLE idempotency_slots (
    id INTEGER PRIMARY KEY,
    slot BLOB NOT NULL UNIQUE CHECK (length(slot) = 32), -- a hash of who asks, the route and the key
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32), -- a hash of what is asked
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

-- How many bytes of answers each wallet keeps; triggers count, so that the bound is read, not summed up.
CREATE TABLE idempotency_owners (
    wallet_address BLOB PRIMARY KEY CHECK (length(wallet_address) = 20),
    bytes INTEGER NOT NULL CHECK (bytes >= 0)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER idempotency_answers_counted AFTER UPDATE OF bytes ON idempotency_slots
WHEN NEW.bytes <> OLD.bytes
BEGIN
    INSERT INTO idempotency_owners (wallet_address, bytes) VALUES (NEW.wallet_address, NEW.bytes)
    ON CONFLICT (wallet_address) DO UPDATE SET bytes = bytes + NEW.bytes - OLD.bytes;
    DELETE FROM idempotency_owners WHERE wallet_address = NEW.wallet_address AND bytes = 0;
END;
CREATE TRIGGER idempotency_answers_discounted AFTER DELETE ON idempotency_slots
WHEN OLD.bytes > 0
BEGIN
    UPDATE idempotency_owners SET bytes = bytes - OLD.bytes WHERE wallet_address = OLD.wallet_address;
    DELETE FROM idempotency_owners WHERE wallet_address = OLD.wallet_address AND bytes = 0;
END;
