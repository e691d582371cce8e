-- A line's oldest charge: the settlement gate works per organization, also after a restart.
ALTER TABLE batch_lines ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
UPDATE batch_lines SET since = (SELECT sealed_at FROM batches WHERE batches.seq = batch_lines.seq);

-- Since when an amount has been carried: it is paid out after a week, however small it is.
ALTER TABLE settlement_carry ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch_carry ADD COLUMN since INTEGER NOT NULL DEFAULT 0; -- of the carry before the batch

-- Only amounts are kept, not every payee there ever was.
DELETE FROM settlement_carry WHERE amount = 0;
CREATE INDEX settlement_carry_by_age ON settlement_carry (since);

-- Whose fault a skipped line is: 'payer', a payee as in batch_credits, or not known (NULL).
ALTER TABLE batch_lines ADD COLUMN blamed TEXT;
CREATE INDEX batch_lines_blamed ON batch_lines (org_id, blamed, seq) WHERE blamed IS NOT NULL;

-- The payee cannot be paid: the platform's share takes the amount, and the ledger keeps it in escrow.
ALTER TABLE batch_credits ADD COLUMN escrow INTEGER NOT NULL DEFAULT 0 CHECK (escrow IN (0, 1));

-- Paid out of escrow, in a line of the orchestrator's own behind all others of the batch.
CREATE TABLE batch_payouts (
    seq INTEGER NOT NULL REFERENCES batches (seq),
    position INTEGER NOT NULL,
    payee TEXT NOT NULL, -- creator/0x<address>, org/<id>
    address BLOB NOT NULL CHECK (length(address) = 20),
    units TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (seq, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX batch_payouts_by_payee ON batch_payouts (payee, seq);
ALTER TABLE batches ADD COLUMN payouts_skipped INTEGER NOT NULL DEFAULT 0 CHECK (payouts_skipped IN (0, 1));
CREATE INDEX batch_lines_skipped ON batch_lines (org_id, seq) WHERE skipped IS NOT NULL;
