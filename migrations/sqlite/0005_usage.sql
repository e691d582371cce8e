-- Usage by day, so that reports cost what a month has days and not what it has calls. Triggers count usage records and
-- charge lines as they are stored; no decision about money reads the counts.

-- Days are counted from 1970-01-01, in UTC. A key of 0 stands for a session. Counts stop at the end of the range
-- instead of failing: what a provider reports must never keep a charge from being stored.
CREATE TABLE usage_days (
    org_id INTEGER NOT NULL,
    day INTEGER NOT NULL,
    project_id INTEGER NOT NULL,
    api_key_id INTEGER NOT NULL,
    model_id INTEGER NOT NULL,
    model_name TEXT NOT NULL,
    calls INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    charged INTEGER NOT NULL,
    PRIMARY KEY (org_id, day, project_id, api_key_id, model_id, model_name)
) STRICT, WITHOUT ROWID;

-- The same for the products that calls were charged for.
CREATE TABLE product_days (
    org_id INTEGER NOT NULL,
    day INTEGER NOT NULL,
    project_id INTEGER NOT NULL,
    api_key_id INTEGER NOT NULL,
    model_id INTEGER NOT NULL,
    model_name TEXT NOT NULL,
    product_id INTEGER NOT NULL,
    payee TEXT NOT NULL, -- as in charge_lines
    calls INTEGER NOT NULL,
    charged INTEGER NOT NULL,
    PRIMARY KEY (org_id, day, project_id, api_key_id, model_id, model_name, product_id, payee)
) STRICT, WITHOUT ROWID;

CREATE INDEX product_days_by_payee ON product_days (payee, product_id, day, calls, charged);

-- How often each product was called, so that a list by calls costs what it has products and not what they have days.
CREATE TABLE product_totals (
    product_id INTEGER PRIMARY KEY,
    calls INTEGER NOT NULL
) STRICT;

CREATE TRIGGER usage_records_count AFTER INSERT ON usage_records
BEGIN
    INSERT INTO usage_days (
        org_id, day, project_id, api_key_id, model_id, model_name, calls, input_tokens, cached_tokens, output_tokens,
        reasoning_tokens, charged
    ) VALUES (
        new.org_id, new.finished_at / 86400000000, new.project_id, coalesce(new.api_key_id, 0), new.model_id,
        new.model_name, 1, new.input_tokens, new.cached_tokens, new.output_tokens, new.reasoning_tokens, new.charged
    )
    ON CONFLICT DO UPDATE SET
        calls = calls + 1,
        input_tokens = input_tokens + min(excluded.input_tokens, 9223372036854775807 - input_tokens),
        cached_tokens = cached_tokens + min(excluded.cached_tokens, 9223372036854775807 - cached_tokens),
        output_tokens = output_tokens + min(excluded.output_tokens, 9223372036854775807 - output_tokens),
        reasoning_tokens = reasoning_tokens
            + min(excluded.reasoning_tokens, 9223372036854775807 - reasoning_tokens),
        charged = charged + min(excluded.charged, 9223372036854775807 - charged);
END;

CREATE TRIGGER charge_lines_count AFTER INSERT ON charge_lines
WHEN new.item = 'product' AND new.item_id IS NOT NULL
BEGIN
    INSERT INTO product_days (
        org_id, day, project_id, api_key_id, model_id, model_name, product_id, payee, calls, charged
    )
    SELECT org_id, finished_at / 86400000000, project_id, coalesce(api_key_id, 0), model_id, model_name,
           new.item_id, new.payee, 1, new.amount
    FROM usage_records WHERE id = new.usage_id
    ON CONFLICT DO UPDATE SET
        calls = calls + 1,
        charged = charged + min(excluded.charged, 9223372036854775807 - charged);
END;

CREATE TRIGGER charge_lines_total AFTER INSERT ON charge_lines
WHEN new.item = 'product' AND new.item_id IS NOT NULL
BEGIN
    INSERT INTO product_totals (product_id, calls) VALUES (new.item_id, 1)
    ON CONFLICT DO UPDATE SET calls = calls + 1;
END;
