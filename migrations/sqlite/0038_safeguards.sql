-- What bounds the harm of a stolen key and of a chain that is away at the start.

-- What a new API key of the organization may spend, unless its maker says otherwise. NULL: no limit.
ALTER TABLE org_settings ADD COLUMN default_key_budget_limit INTEGER CHECK (default_key_budget_limit >= 0);
ALTER TABLE org_settings ADD COLUMN default_key_budget_window TEXT
CHECK (default_key_budget_window IN ('day', 'month', 'total'));

-- The contracts' withdrawal delay in seconds, as they said it; it never changes. NULL: never asked.
ALTER TABLE chain_binding ADD COLUMN withdrawal_delay INTEGER CHECK (withdrawal_delay > 0);
