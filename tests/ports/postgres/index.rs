//! What suites need of the chain's index until it is on PostgreSQL: the rows of organizations, roles, creators and
//! products. It knows nothing of money.

use async_trait::async_trait;
use haithe_billing::{
    chain::{BlockRef, ChainAmount, ChainEvent, EventBody, IndexStep, StepEffects},
    ports::ChainIndex,
};
use haithe_kernel::{Decimals, StoreError, TokenUnits, Usdt, WalletAddress};
use haithe_postgres::Db;
use sqlx::{
    ConnectOptions, PgConnection, Postgres, postgres::PgArguments, postgres::PgConnectOptions, query::Query,
};
use std::time::Duration;
use uuid::Uuid;

pub struct DirectoryIndex {
    db: Db,
    url: String,
    decimals: Decimals,
}

type Statement = Query<'static, Postgres, PgArguments>;

fn bytes(address: WalletAddress) -> Vec<u8> {
    address.as_bytes().to_vec()
}

fn number(number: u64) -> i64 {
    number.try_into().unwrap()
}

impl DirectoryIndex {
    pub fn new(db: &Db, url: &str, decimals: Decimals) -> Self {
        Self {
            db: db.clone(),
            url: url.to_owned(),
            decimals,
        }
    }

    /// Runs the statements and raises the directory's version.
    async fn run(&self, statements: Vec<Statement>) -> Result<(), StoreError> {
        let options: PgConnectOptions = self.url.parse().map_err(StoreError::new)?;
        let mut connection: PgConnection = options.connect().await.map_err(StoreError::new)?;
        let changed = sqlx::query("INSERT INTO change_log (topic) VALUES ('directory')");
        for statement in statements.into_iter().chain([changed]) {
            statement
                .execute(&mut connection)
                .await
                .map_err(StoreError::new)?;
        }
        self.db.refresh().await
    }

    fn nano(&self, units: ChainAmount) -> Option<i64> {
        let money = Usdt::from_units(TokenUnits::new(units?), self.decimals);
        money.ok().map(|(money, _)| money.nano())
    }

    fn statements(&self, event: &ChainEvent) -> Vec<Statement> {
        let (tx, at) = (event.tx.to_vec(), event.block_time.micros());
        match &event.body {
            EventBody::OrganizationCreated {
                index,
                org,
                owner,
                name,
            } => vec![
                sqlx::query("UPDATE organizations SET on_chain = FALSE WHERE address = $1 AND created_tx <> $2")
                    .bind(bytes(*org))
                    .bind(tx.clone()),
                sqlx::query(
                    "INSERT INTO organizations
                         (organization_uid, address, created_tx, orchestrator_index, chain_name, name, owner,
                          created_at, created_block, on_chain)
                     VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8, TRUE)
                     ON CONFLICT (address, created_tx) DO UPDATE SET on_chain = TRUE",
                )
                .bind(Uuid::now_v7().as_bytes().to_vec())
                .bind(bytes(*org))
                .bind(tx)
                .bind(number(*index) + 1)
                .bind(name.clone())
                .bind(bytes(*owner))
                .bind(at)
                .bind(number(event.block)),
            ],
            EventBody::ProductAdded {
                index,
                product,
                creator,
                name,
                uri,
                encrypted_key,
                category,
                price,
            } => vec![
                sqlx::query(
                    "INSERT INTO products
                         (address, created_tx, orchestrator_index, creator, name, uri, encrypted_key, category,
                          price_units, price_per_call, created_at, created_block, on_chain)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, TRUE)
                     ON CONFLICT (address, created_tx) DO UPDATE SET on_chain = TRUE",
                )
                .bind(bytes(*product))
                .bind(tx)
                .bind(number(*index) + 1)
                .bind(bytes(*creator))
                .bind(name.clone())
                .bind(uri.clone())
                .bind(encrypted_key.clone())
                .bind(category.clone())
                .bind(price.map(|price| price.to_string()))
                .bind(self.nano(*price))
                .bind(at)
                .bind(number(event.block)),
            ],
            EventBody::PriceChanged { product, price } => vec![
                sqlx::query("UPDATE products SET price_units = $1, price_per_call = $2 WHERE address = $3")
                    .bind(price.map(|price| price.to_string()))
                    .bind(self.nano(*price))
                    .bind(bytes(*product)),
            ],
            EventBody::UriChanged { product, uri } => vec![
                sqlx::query("UPDATE products SET uri = $1 WHERE address = $2")
                    .bind(uri.clone())
                    .bind(bytes(*product)),
            ],
            EventBody::ProductRetired { product } => {
                vec![sqlx::query("UPDATE products SET retired = TRUE WHERE address = $1").bind(bytes(*product))]
            }
            EventBody::ProductEnabled {
                org,
                product,
                max_price,
            } => vec![
                sqlx::query(
                    "INSERT INTO org_products (org_id, product_id, max_price_units)
                     SELECT organizations.id, products.id, $3 FROM organizations, products
                     WHERE organizations.address = $1 AND products.address = $2
                     ON CONFLICT (org_id, product_id) DO UPDATE SET max_price_units = excluded.max_price_units",
                )
                .bind(bytes(*org))
                .bind(bytes(*product))
                .bind(max_price.map(|price| price.to_string())),
            ],
            EventBody::CreatorRegistered {
                creator,
                id,
                uri,
                pub_key,
            } => vec![
                sqlx::query(
                    "INSERT INTO creators (wallet_address, identity_id, uri, pub_key, created_at)
                     VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                )
                .bind(bytes(*creator))
                .bind(number(*id))
                .bind(uri.clone())
                .bind(pub_key.clone())
                .bind(at),
            ],
            // Deposits, which only the ledger knows.
            EventBody::Transfer { .. } => Vec::new(),
            other => panic!("{other:?} is not in this index"),
        }
    }
}

#[async_trait]
impl ChainIndex for DirectoryIndex {
    async fn bind(&self, chain_id: u64, orchestrator: WalletAddress, start: u64) -> Result<(), StoreError> {
        let bind = sqlx::query(
            "INSERT INTO chain_binding (id, chain_id, orchestrator, start_block, decimals)
             VALUES (1, $1, $2, $3, $4) ON CONFLICT DO NOTHING",
        );
        let bind = bind
            .bind(number(chain_id))
            .bind(bytes(orchestrator))
            .bind(number(start))
            .bind(i64::from(self.decimals.digits()));
        self.run(vec![bind]).await
    }

    async fn withdrawal_delay(&self) -> Result<Option<Duration>, StoreError> {
        Ok(None)
    }

    async fn record_withdrawal_delay(&self, _: Duration) -> Result<(), StoreError> {
        Ok(())
    }

    async fn checkpoint(&self) -> Result<Option<BlockRef>, StoreError> {
        panic!("no checkpoint in this index")
    }

    async fn recent(&self, _: u32) -> Result<Vec<BlockRef>, StoreError> {
        panic!("no blocks in this index")
    }

    async fn organizations(&self) -> Result<Vec<WalletAddress>, StoreError> {
        panic!("no list of organizations in this index")
    }

    async fn apply(&self, step: IndexStep) -> Result<StepEffects, StoreError> {
        let mut statements: Vec<Statement> = step
            .events
            .iter()
            .flat_map(|event| self.statements(event))
            .collect();
        for block in &step.blocks {
            let insert = "INSERT INTO chain_blocks (number, hash, parent, time) VALUES ($1, $2, $3, $4)";
            let insert = sqlx::query(insert)
                .bind(number(block.number))
                .bind(block.hash.to_vec())
                .bind(block.parent.to_vec())
                .bind(block.time.micros());
            statements.push(insert);
        }
        let confirmed = sqlx::query("UPDATE chain_binding SET confirmed = $1, last_final = $2");
        statements.push(
            confirmed
                .bind(number(step.confirmed))
                .bind(number(step.last_final)),
        );
        self.run(statements).await?;
        Ok(StepEffects::default())
    }

    async fn rewind(&self, to: BlockRef) -> Result<(), StoreError> {
        let gone = [
            "DELETE FROM chain_blocks WHERE number > $1",
            "UPDATE organizations SET on_chain = FALSE WHERE created_block > $1",
            "UPDATE products SET on_chain = FALSE WHERE created_block > $1",
        ];
        let mut statements: Vec<Statement> = gone.map(|sql| sqlx::query(sql).bind(number(to.number))).into();
        let creators = sqlx::query("DELETE FROM creators WHERE created_at > $1");
        statements.push(creators.bind(to.time.micros()));
        self.run(statements).await
    }
}
