-- The ledger, and one row per charged call.
--
-- A transaction is a list of transfers from one account to another, so that its postings sum to
-- zero by construction; `postings` shows them as signed amounts. Balances may be negative: facts
-- from the chain are never refused. Nothing here is ever changed or deleted.

CREATE TABLE ledger_accounts (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    balance INTEGER NOT NULL DEFAULT 0 -- the sum of its postings, kept for reading and compared at every start
) STRICT;

INSERT INTO ledger_accounts (id, name)
VALUES (1, 'chain/orchestrator'), (2, 'platform'), (3, 'platform/loss'), (4, 'dust');

CREATE TABLE ledger_transactions (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    block INTEGER, -- the block whose fact it books; NULL for calls and for reversals
    reverses INTEGER UNIQUE REFERENCES ledger_transactions (id)
) STRICT;

CREATE INDEX ledger_transactions_by_block ON ledger_transactions (block) WHERE block IS NOT NULL;

CREATE TABLE ledger_transfers (
    transaction_id INTEGER NOT NULL REFERENCES ledger_transactions (id),
    position INTEGER NOT NULL,
    source INTEGER NOT NULL REFERENCES ledger_accounts (id),
    target INTEGER NOT NULL REFERENCES ledger_accounts (id),
    amount INTEGER NOT NULL CHECK (amount > 0),
    PRIMARY KEY (transaction_id, position),
    CHECK (source <> target)
) STRICT, WITHOUT ROWID;

CREATE VIEW postings (transaction_id, account_id, amount) AS
SELECT transaction_id, source, -amount FROM ledger_transfers
UNION ALL
SELECT transaction_id, target, amount FROM ledger_transfers;

-- One row per captured call; its number is that of its ledger transaction.
CREATE TABLE usage_records (
    id INTEGER PRIMARY KEY REFERENCES ledger_transactions (id),
    call BLOB NOT NULL UNIQUE CHECK (length(call) = 16),
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    project_id INTEGER NOT NULL,
    wallet_address BLOB NOT NULL CHECK (length(wallet_address) = 20),
    api_key_id INTEGER,
    model_id INTEGER NOT NULL,
    model_name TEXT NOT NULL,
    provider TEXT NOT NULL,
    input_tokens INTEGER NOT NULL CHECK (input_tokens >= 0),
    cached_tokens INTEGER NOT NULL CHECK (cached_tokens >= 0),
    output_tokens INTEGER NOT NULL CHECK (output_tokens >= 0),
    reasoning_tokens INTEGER NOT NULL CHECK (reasoning_tokens >= 0),
    estimated INTEGER NOT NULL CHECK (estimated IN (0, 1)),
    streamed INTEGER NOT NULL CHECK (streamed IN (0, 1)),
    outcome TEXT NOT NULL CHECK (outcome IN ('complete', 'partial', 'aborted')),
    request_hash BLOB NOT NULL CHECK (length(request_hash) = 32),
    response_hash BLOB NOT NULL CHECK (length(response_hash) = 32),
    started_at INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    charged INTEGER NOT NULL CHECK (charged >= 0),
    lost INTEGER NOT NULL CHECK (lost >= 0),
    spent_before INTEGER NOT NULL,
    -- Where it stands in settlement; all that ever changes:
    batch_seq INTEGER REFERENCES batches (seq), -- the batch it is in now
    skipped INTEGER NOT NULL DEFAULT 0 CHECK (skipped IN (0, 1)) -- its line was skipped before
) STRICT;

CREATE INDEX usage_records_by_org ON usage_records (org_id, id, charged);
CREATE INDEX usage_records_by_project ON usage_records (project_id, finished_at, charged);
CREATE INDEX usage_records_by_api_key ON usage_records (api_key_id, finished_at, charged)
WHERE api_key_id IS NOT NULL;
-- What waits for a batch. A call that cost nothing has nothing to settle.
CREATE INDEX usage_records_unsealed ON usage_records (id, org_id, charged, finished_at, skipped, batch_seq)
WHERE batch_seq IS NULL AND charged > 0;

CREATE TABLE receipts (
    id INTEGER PRIMARY KEY REFERENCES usage_records (id),
    hash BLOB NOT NULL CHECK (length(hash) = 32), -- SHA-256 of json
    json TEXT NOT NULL -- RFC 8785
) STRICT;

-- The parts of a charge, as charged; they sum to usage_records.charged.
CREATE TABLE charge_lines (
    usage_id INTEGER NOT NULL REFERENCES usage_records (id),
    position INTEGER NOT NULL,
    payee TEXT NOT NULL, -- platform, creator/0x<address>, org/<id>
    item TEXT NOT NULL CHECK (item IN ('model_call', 'model_tokens', 'product', 'project')),
    item_id INTEGER,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (usage_id, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX charge_lines_by_payee ON charge_lines (payee) WHERE payee <> 'platform';

CREATE TRIGGER ledger_transactions_stay BEFORE UPDATE ON ledger_transactions
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_transactions_remain BEFORE DELETE ON ledger_transactions
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_transfers_stay BEFORE UPDATE ON ledger_transfers
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_transfers_remain BEFORE DELETE ON ledger_transfers
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER usage_records_stay BEFORE UPDATE OF
    id, call, org_id, project_id, wallet_address, api_key_id, model_id, model_name, provider,
    input_tokens, cached_tokens, output_tokens, reasoning_tokens, estimated, streamed, outcome,
    request_hash, response_hash, started_at, finished_at, charged, lost, spent_before
ON usage_records
BEGIN SELECT RAISE(ABORT, 'usage records are append-only'); END;
CREATE TRIGGER usage_records_remain BEFORE DELETE ON usage_records
BEGIN SELECT RAISE(ABORT, 'usage records are append-only'); END;
CREATE TRIGGER receipts_stay BEFORE UPDATE ON receipts
BEGIN SELECT RAISE(ABORT, 'receipts are append-only'); END;
CREATE TRIGGER receipts_remain BEFORE DELETE ON receipts
BEGIN SELECT RAISE(ABORT, 'receipts are append-only'); END;
CREATE TRIGGER charge_lines_stay BEFORE UPDATE ON charge_lines
BEGIN SELECT RAISE(ABORT, 'receipts are append-only'); END;
CREATE TRIGGER charge_lines_remain BEFORE DELETE ON charge_lines
BEGIN SELECT RAISE(ABORT, 'receipts are append-only'); END;
