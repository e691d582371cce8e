-- Usage by day, so that its figures cost what a month has days and not what it has calls.

-- Days are counted from 1970-01-01, in UTC. A key of 0 stands for a session. Counts stop at the end of the range
-- instead of failing: what a provider reports must never keep a charge from being stored.
CREATE TABLE usage_days (
    org_id BIGINT NOT NULL,
    day BIGINT NOT NULL,
    project_id BIGINT NOT NULL,
    api_key_id BIGINT NOT NULL,
    model_id BIGINT NOT NULL,
    model_name TEXT COLLATE "C" NOT NULL,
    calls BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    charged BIGINT NOT NULL,
    PRIMARY KEY (org_id, day, project_id, api_key_id, model_id, model_name)
);

-- The same of the products that calls were charged for.
CREATE TABLE product_days (
    org_id BIGINT NOT NULL,
    day BIGINT NOT NULL,
    project_id BIGINT NOT NULL,
    api_key_id BIGINT NOT NULL,
    model_id BIGINT NOT NULL,
    model_name TEXT COLLATE "C" NOT NULL,
    product_id BIGINT NOT NULL,
    payee TEXT COLLATE "C" NOT NULL,
    calls BIGINT NOT NULL,
    charged BIGINT NOT NULL,
    PRIMARY KEY (org_id, day, project_id, api_key_id, model_id, model_name, product_id, payee)
);

CREATE INDEX product_days_by_payee ON product_days (payee, product_id, day);

-- How often each product was called, so that a list by calls costs what it has products and not what they have days.
CREATE TABLE product_totals (
    product_id BIGINT PRIMARY KEY,
    calls BIGINT NOT NULL
);
