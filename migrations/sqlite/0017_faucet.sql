-- A wallet's transactions of one purpose, newest first: what the faucet gave it last.

CREATE INDEX chain_tx_by_wallet ON chain_tx (purpose, on_behalf, created_at) WHERE on_behalf IS NOT NULL;
