-- Sealed content, by its SHA-256. What is kept is ciphertext: only the enclave can read it.

CREATE TABLE contents (
    id INTEGER PRIMARY KEY,
    sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
    bytes INTEGER NOT NULL CHECK (bytes > 0), -- how many
    created_at INTEGER NOT NULL
) STRICT;

-- Beside the rows that quotas are summed over, which stay small.
CREATE TABLE content_bytes (
    content_id INTEGER PRIMARY KEY REFERENCES contents (id) ON DELETE CASCADE,
    bytes BLOB NOT NULL
) STRICT;

-- The same content is kept once, and counts for every wallet that brought it.
CREATE TABLE content_owners (
    wallet_address BLOB NOT NULL CHECK (length(wallet_address) = 20),
    content_id INTEGER NOT NULL REFERENCES contents (id),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (wallet_address, content_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX content_owners_by_content ON content_owners (content_id);

CREATE TRIGGER contents_without_owner AFTER DELETE ON content_owners
WHEN NOT EXISTS (SELECT 1 FROM content_owners WHERE content_id = OLD.content_id)
BEGIN DELETE FROM contents WHERE id = OLD.content_id; END;
