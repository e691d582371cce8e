-- The announced price of a product, a creator's second payout address, and the blocks that created organizations and
-- products: their addresses count as confirmed once those blocks are.
--
-- `price_units` and `price_per_call` stay the price in force at the indexed head: the index moves an announced price
-- there once a block's time reaches `next_price_at`, and notes that time in `price_rose_at` for a rewind.

ALTER TABLE products ADD COLUMN next_price_units TEXT; -- NULL: no announced price, or one beyond 128 bits
ALTER TABLE products ADD COLUMN next_price INTEGER; -- NULL: no announced price, or one beyond our range
ALTER TABLE products ADD COLUMN next_price_at INTEGER; -- NULL: no announced price
ALTER TABLE products ADD COLUMN price_rose_at INTEGER; -- when the last announced price came into force

CREATE INDEX products_by_next_price_at ON products (next_price_at) WHERE next_price_at IS NOT NULL;
CREATE INDEX products_by_price_rose_at ON products (price_rose_at) WHERE price_rose_at IS NOT NULL;

ALTER TABLE products ADD COLUMN created_block INTEGER; -- NULL: before this column, which is confirmed
ALTER TABLE organizations ADD COLUMN created_block INTEGER; -- NULL: before this column, which is confirmed

ALTER TABLE chain_tx ADD COLUMN network TEXT; -- the client network that a sponsored transaction was requested from
CREATE INDEX chain_tx_by_network ON chain_tx (purpose, network, created_at) WHERE network IS NOT NULL;

ALTER TABLE creators ADD COLUMN payout_address BLOB; -- in effect before next_payout_at
ALTER TABLE creators ADD COLUMN next_payout_address BLOB; -- replaces payout_address from next_payout_at on
ALTER TABLE creators ADD COLUMN next_payout_at INTEGER;
