-- What a new API key of the organization may spend, unless its maker says otherwise. NULL: no limit.

ALTER TABLE org_settings ADD COLUMN default_key_budget_limit INTEGER CHECK (default_key_budget_limit >= 0);
ALTER TABLE org_settings ADD COLUMN default_key_budget_window TEXT
CHECK (default_key_budget_window IN ('day', 'month', 'total'));
