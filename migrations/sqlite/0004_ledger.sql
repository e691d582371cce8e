-- The ledger, and one row per charged call.
--
-- A transaction is a list of transfers from one account to another, so that its postings sum to zero by construction;
-- `postings` shows them as signed amounts. Balances may be negative: facts from the chain are never refused. Rows are
-- never changed or deleted, except for an account's balance and a usage record's place in settlement.
--
-- Amounts, balances and account numbers are computed in billing::ledger and arrive as values: a trigger only spreads
-- one inserted row over tables. `cargo xtask check` rejects triggers on the ledger that calculate, compare or name
-- accounts.

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
    org_id INTEGER NOT NULL REFERENCES organizations (id), -- the payer
    project_id INTEGER NOT NULL,
    wallet_address BLOB NOT NULL CHECK (length(wallet_address) = 20),
    api_key_id INTEGER, -- NULL: a session
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

-- The order of receipts, and everything by which they are chosen.
CREATE INDEX usage_records_by_org ON usage_records (org_id, id, charged, finished_at, project_id);
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

-- What the ledger keeps about an organization beside its accounts.
CREATE TABLE org_books (
    org_id INTEGER PRIMARY KEY REFERENCES organizations (id),
    dust INTEGER NOT NULL DEFAULT 0, -- base units of confirmed deposits that are below a nano
    daily_cap TEXT, -- base units; the tightest in force or scheduled; NULL: none
    skips_since INTEGER NOT NULL DEFAULT 0 -- batch from which on skipped lines count
) STRICT;

-- A capture as one row of one statement: reporting each statement of a script to the caller costs about 40 µs where
-- both threads share a core, and one statement is a transaction by itself.
--
-- Only to be inserted into: a ledger transaction, its transfers as a JSON list of [position, source, target, amount],
-- the usage record, the receipt and its lines as a JSON list of [payee, item, item_id, amount], and the balances of
-- accounts as a JSON list of [account, balance]. The last row of a group has the balances that follow from all of its
-- rows; they are NULL in the others.
CREATE VIEW captures (
    id, key, call, org_id, project_id, wallet_address, api_key_id, model_id, model_name, provider, input_tokens,
    cached_tokens, output_tokens, reasoning_tokens, estimated, streamed, outcome, request_hash, response_hash,
    started_at, finished_at, charged, lost, spent_before, receipt_hash, receipt_json, lines, transfers, balances
) AS
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
WHERE FALSE;

CREATE TRIGGER captures_store INSTEAD OF INSERT ON captures
BEGIN
    INSERT INTO ledger_transactions (id, key, at) VALUES (new.id, new.key, new.finished_at);

    INSERT INTO ledger_transfers (transaction_id, position, source, target, amount)
    SELECT new.id, value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(new.transfers);

    UPDATE ledger_accounts SET balance = changed.value ->> 1 FROM json_each(new.balances) AS changed
    WHERE ledger_accounts.id = changed.value ->> 0;

    INSERT INTO usage_records (
        id, call, org_id, project_id, wallet_address, api_key_id, model_id, model_name, provider, input_tokens,
        cached_tokens, output_tokens, reasoning_tokens, estimated, streamed, outcome, request_hash, response_hash,
        started_at, finished_at, charged, lost, spent_before
    ) VALUES (
        new.id, new.call, new.org_id, new.project_id, new.wallet_address, new.api_key_id, new.model_id,
        new.model_name, new.provider, new.input_tokens, new.cached_tokens, new.output_tokens,
        new.reasoning_tokens, new.estimated, new.streamed, new.outcome, new.request_hash, new.response_hash,
        new.started_at, new.finished_at, new.charged, new.lost, new.spent_before
    );

    INSERT INTO receipts (id, hash, json) VALUES (new.id, new.receipt_hash, new.receipt_json);

    INSERT INTO charge_lines (usage_id, position, payee, item, item_id, amount)
    SELECT new.id, key, value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(new.lines);
END;

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
