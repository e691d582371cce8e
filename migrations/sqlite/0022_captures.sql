-- A capture as one row of one statement. Each statement of a script tells its caller that it is done, and
-- each telling costs one caller's answer 40 µs where both threads share a core; one statement is also a
-- transaction by itself.

-- Only to be inserted into: a ledger transaction, its transfers (`payer` and `owed` are the organization's
-- available and unsettled accounts), the usage record, the receipt and its lines, a JSON list of
-- [payee, item, item_id, amount].
CREATE VIEW captures (
    id, key, payer, owed, call, org_id, project_id, wallet_address, api_key_id, model_id, model_name, provider,
    input_tokens, cached_tokens, output_tokens, reasoning_tokens, estimated, streamed, outcome, request_hash,
    response_hash, started_at, finished_at, charged, lost, spent_before, receipt_hash, receipt_json, lines
) AS
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
WHERE FALSE;

CREATE TRIGGER captures_store INSTEAD OF INSERT ON captures
BEGIN
    INSERT INTO ledger_transactions (id, key, at) VALUES (new.id, new.key, new.finished_at);

    INSERT INTO ledger_transfers (transaction_id, position, source, target, amount)
    SELECT new.id, 0, new.payer, new.owed, new.charged WHERE new.charged > 0;
    UPDATE ledger_accounts SET balance = balance + iif(id = new.payer, -new.charged, new.charged)
    WHERE id IN (new.payer, new.owed) AND new.charged > 0;

    -- What nobody could pay: from platform/loss to platform.
    INSERT INTO ledger_transfers (transaction_id, position, source, target, amount)
    SELECT new.id, 1, 3, 2, new.lost WHERE new.lost > 0;
    UPDATE ledger_accounts SET balance = balance + iif(id = 3, -new.lost, new.lost)
    WHERE id IN (2, 3) AND new.lost > 0;

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

-- A page to write for every capture, which nothing reads: no call brings its project's budget along.
DROP INDEX usage_records_by_project;
