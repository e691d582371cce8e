-- A capture brings its transfers and the new balances as values: the trigger only spreads a row over tables.
-- `cargo xtask check` refuses triggers on the ledger that calculate, compare or name accounts.

DROP TRIGGER captures_store;
DROP VIEW captures;

-- Only to be inserted into: a ledger transaction, its transfers as a JSON list of [position, source, target, amount],
-- the usage record, the receipt and its lines as a JSON list of [payee, item, item_id, amount], and the balances of
-- accounts as a JSON list of [account, balance]. The last row of a group brings the balances that follow from all of
-- its rows; they are NULL in the others.
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
