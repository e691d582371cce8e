-- A line's oldest charge: the settlement gate works per organization, also after a restart.
ALTER TABLE batch_lines ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
UPDATE batch_lines SET since = (SELECT sealed_at FROM batches WHERE batches.seq = batch_lines.seq);

-- Since when an amount has been carried: it is paid out after a week, however small it is.
ALTER TABLE settlement_carry ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch_carry ADD COLUMN since INTEGER NOT NULL DEFAULT 0; -- of the carry before the batch

-- Only amounts are kept, not every payee there ever was.
DELETE FROM settlement_carry WHERE amount = 0;
CREATE INDEX settlement_carry_by_age ON settlement_carry (since);
