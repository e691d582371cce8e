-- A name is used once in an organization, and a wallet keeps a bounded number of idempotency keys.

-- By what the program compares names (kernel::name_key). Rows that are older than this column have none: two
-- of them may have one name, and the program compares them by their names until they are renamed.
ALTER TABLE projects ADD COLUMN name_key TEXT;

CREATE UNIQUE INDEX projects_by_name_key ON projects (org_id, name_key)
WHERE deleted = 0 AND name_key IS NOT NULL;
CREATE INDEX projects_without_name_key ON projects (org_id) WHERE deleted = 0 AND name_key IS NULL;

-- How many slots each wallet has; triggers count, so that the bound is read, not summed up.
CREATE TABLE idempotency_counts (
    wallet_address BLOB PRIMARY KEY CHECK (length(wallet_address) = 20),
    slots INTEGER NOT NULL CHECK (slots >= 0)
) STRICT, WITHOUT ROWID;

INSERT INTO idempotency_counts SELECT wallet_address, count(*) FROM idempotency_slots GROUP BY wallet_address;

CREATE TRIGGER idempotency_slots_counted AFTER INSERT ON idempotency_slots
BEGIN
    INSERT INTO idempotency_counts (wallet_address, slots) VALUES (NEW.wallet_address, 1)
    ON CONFLICT (wallet_address) DO UPDATE SET slots = slots + 1;
END;
CREATE TRIGGER idempotency_slots_discounted AFTER DELETE ON idempotency_slots
BEGIN
    UPDATE idempotency_counts SET slots = slots - 1 WHERE wallet_address = OLD.wallet_address;
    DELETE FROM idempotency_counts WHERE wallet_address = OLD.wallet_address AND slots = 0;
END;
