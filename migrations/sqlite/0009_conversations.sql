-- Conversations of wallets with projects.

-- Whose conversations: one wallet, in one project, on one organization's account. Triggers keep the counts, so that a
-- quota is read and not summed up.
CREATE TABLE conversation_owners (
    id INTEGER PRIMARY KEY,
    wallet_address BLOB NOT NULL CHECK (length(wallet_address) = 20),
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    project_id INTEGER NOT NULL REFERENCES projects (id),
    conversations INTEGER NOT NULL DEFAULT 0 CHECK (conversations >= 0),
    bytes INTEGER NOT NULL DEFAULT 0 CHECK (bytes >= 0), -- of messages, 64 more for each
    UNIQUE (wallet_address, org_id, project_id)
) STRICT;

CREATE INDEX conversation_owners_by_project ON conversation_owners (project_id);

CREATE TABLE conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    owner_id INTEGER NOT NULL REFERENCES conversation_owners (id),
    title TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    -- Invisible for every caller; the row stays until the last of its many messages is deleted.
    deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1))
) STRICT;

CREATE INDEX conversations_by_owner ON conversations (owner_id, updated_at, id) WHERE deleted = 0;
CREATE INDEX conversations_deleted ON conversations (id) WHERE deleted = 1;

CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id INTEGER NOT NULL REFERENCES conversations (id),
    owner_id INTEGER NOT NULL REFERENCES conversation_owners (id),
    sender TEXT NOT NULL CHECK (sender IN ('user', 'ai')),
    message TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX messages_by_conversation ON messages (conversation_id, id);
CREATE INDEX messages_by_age ON messages (owner_id, created_at);

CREATE TRIGGER conversations_counted AFTER INSERT ON conversations
BEGIN UPDATE conversation_owners SET conversations = conversations + 1 WHERE id = NEW.owner_id; END;
CREATE TRIGGER conversations_discounted AFTER DELETE ON conversations
BEGIN UPDATE conversation_owners SET conversations = conversations - 1 WHERE id = OLD.owner_id; END;
CREATE TRIGGER messages_counted AFTER INSERT ON messages
BEGIN
    UPDATE conversation_owners SET bytes = bytes + octet_length(NEW.message) + 64 WHERE id = NEW.owner_id;
END;
CREATE TRIGGER messages_discounted AFTER DELETE ON messages
BEGIN
    UPDATE conversation_owners SET bytes = bytes - octet_length(OLD.message) - 64 WHERE id = OLD.owner_id;
END;
CREATE TRIGGER messages_stay BEFORE UPDATE ON messages
BEGIN SELECT RAISE(ABORT, 'messages cannot be changed'); END;

-- Full text. `scope` holds words that no text can contain in its own column: of the owner (`o12`) and of the
-- conversation (`c34`). A search names one of them, so that it walks only the owner's entries of the index, however
-- many other owners have. Short prefixes of words have an index of their own.
CREATE VIEW conversation_titles AS
SELECT id, 'o' || owner_id AS scope, title FROM conversations;
CREATE VIRTUAL TABLE conversations_fts USING fts5 (
    scope, title, content = 'conversation_titles', content_rowid = 'id',
    tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
);

CREATE VIEW message_texts AS
SELECT id, 'o' || owner_id || ' c' || conversation_id AS scope, message FROM messages;
CREATE VIRTUAL TABLE messages_fts USING fts5 (
    scope, message, content = 'message_texts', content_rowid = 'id',
    tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
);

-- What is deleted leaves the index at once, not at its next merge.
INSERT INTO conversations_fts (conversations_fts, rank) VALUES ('secure-delete', 1);
INSERT INTO messages_fts (messages_fts, rank) VALUES ('secure-delete', 1);

CREATE TRIGGER conversations_found AFTER INSERT ON conversations
BEGIN
    INSERT INTO conversations_fts (rowid, scope, title) VALUES (NEW.id, 'o' || NEW.owner_id, NEW.title);
END;
CREATE TRIGGER conversations_renamed AFTER UPDATE OF title ON conversations
BEGIN
    INSERT INTO conversations_fts (conversations_fts, rowid, scope, title)
    VALUES ('delete', OLD.id, 'o' || OLD.owner_id, OLD.title);
    INSERT INTO conversations_fts (rowid, scope, title) VALUES (NEW.id, 'o' || NEW.owner_id, NEW.title);
END;
CREATE TRIGGER conversations_lost AFTER DELETE ON conversations
BEGIN
    INSERT INTO conversations_fts (conversations_fts, rowid, scope, title)
    VALUES ('delete', OLD.id, 'o' || OLD.owner_id, OLD.title);
END;

CREATE TRIGGER messages_found AFTER INSERT ON messages
BEGIN
    INSERT INTO messages_fts (rowid, scope, message)
    VALUES (NEW.id, 'o' || NEW.owner_id || ' c' || NEW.conversation_id, NEW.message);
END;
CREATE TRIGGER messages_lost AFTER DELETE ON messages
BEGIN
    INSERT INTO messages_fts (messages_fts, rowid, scope, message)
    VALUES ('delete', OLD.id, 'o' || OLD.owner_id || ' c' || OLD.conversation_id, OLD.message);
END;
