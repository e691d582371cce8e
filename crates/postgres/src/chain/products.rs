//! Rows of the marketplace: creators, products, and who enabled what.

use super::listing::Listing;
use crate::{
    columns::{self, Columns},
    write::WriteTx,
};
use haithe_billing::chain::{
    AddedProduct, ChainAmount, ChainPrice, Located, PayoutAddresses, ProductPrices, RegisteredCreator,
};
use haithe_kernel::{OrgId, ProductId, StoreError, Timestamp, WalletAddress};

/// Base units as a column holds them.
fn units(units: ChainAmount) -> Option<String> {
    units.map(|units| units.to_string())
}

fn prices(columns: &Columns<'_>) -> Result<ProductPrices, StoreError> {
    let next = ChainPrice {
        units: columns.get("products.next_price_units")?,
        per_call: columns.get("products.next_price")?,
    };
    let next_at: Option<Timestamp> = columns.get("products.next_price_at")?;
    Ok(ProductPrices {
        now: ChainPrice {
            units: columns.get("products.price_units")?,
            per_call: columns.get("products.price_per_call")?,
        },
        next: next_at.map(|at| (next, at)),
        rose_at: columns.get("products.price_rose_at")?,
    })
}

impl WriteTx {
    /// The product at the address, on the indexed chain.
    pub(super) async fn product_at(
        &mut self,
        address: WalletAddress,
    ) -> Result<Option<Located<ProductId>>, StoreError> {
        let find = "SELECT id, created_tx FROM products WHERE address = $1 AND on_chain";
        let row = self
            .optional(sqlx::query(find).bind(columns::address(address)))
            .await?;
        row.map(|row| {
            let columns = Columns::of(&row);
            Ok(Located {
                id: columns.get("products.id")?,
                created_tx: columns.get("products.created_tx")?,
            })
        })
        .transpose()
    }

    /// Products whose next price is due.
    pub(super) async fn prices_due(
        &mut self,
        now: Timestamp,
    ) -> Result<Vec<(ProductId, ProductPrices)>, StoreError> {
        let due =
            "SELECT id, price_units, price_per_call, next_price_units, next_price, next_price_at, price_rose_at
             FROM products WHERE next_price_at <= $1 AND on_chain";
        let rows = self.all(sqlx::query(due).bind(now.micros())).await?;
        rows.iter()
            .map(|row| {
                let columns = Columns::of(row);
                Ok((columns.get("products.id")?, prices(&columns)?))
            })
            .collect()
    }

    /// Addresses of products whose announced price came into force after this time.
    pub(super) async fn raised_after(&mut self, time: Timestamp) -> Result<Vec<WalletAddress>, StoreError> {
        let raised = "SELECT address FROM products WHERE price_rose_at > $1 AND on_chain";
        let rows = self.all(sqlx::query(raised).bind(time.micros())).await?;
        rows.iter()
            .map(|row| Columns::of(row).get("products.address"))
            .collect()
    }

    pub(super) async fn add_product(&mut self, added: AddedProduct) -> Result<(), StoreError> {
        let insert = "INSERT INTO products
                          (address, created_tx, orchestrator_index, creator, name, uri, encrypted_key, category,
                           price_units, price_per_call, next_price_units, next_price, next_price_at, price_rose_at,
                           created_at, created_block, on_chain)
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, TRUE)
                      ON CONFLICT (address, created_tx) DO UPDATE SET
                          orchestrator_index = excluded.orchestrator_index, uri = excluded.uri,
                          price_units = excluded.price_units, price_per_call = excluded.price_per_call,
                          next_price_units = excluded.next_price_units, next_price = excluded.next_price,
                          next_price_at = excluded.next_price_at, price_rose_at = excluded.price_rose_at,
                          created_at = excluded.created_at, created_block = excluded.created_block,
                          retired = FALSE, on_chain = TRUE";
        let ProductPrices { now, next, rose_at } = added.prices;
        let next_price = next.map(|(price, _)| price).unwrap_or_default();
        self.list(added.address, Listing::Product).await?;
        let statement = sqlx::query(insert)
            .bind(columns::address(added.address))
            .bind(added.created_tx.to_vec())
            .bind(columns::number(added.index, "products.orchestrator_index")?)
            .bind(columns::address(added.creator))
            .bind(columns::text(added.name))
            .bind(columns::text(added.uri))
            .bind(columns::text(added.encrypted_key))
            .bind(columns::text(added.category))
            .bind(units(now.units))
            .bind(now.per_call.map(|price| price.nano()))
            .bind(units(next_price.units))
            .bind(next_price.per_call.map(|price| price.nano()))
            .bind(next.map(|(_, at)| at.micros()))
            .bind(rose_at.map(Timestamp::micros))
            .bind(added.created_at.micros())
            .bind(columns::number(added.block, "products.created_block")?);
        self.execute(statement).await.map(drop)
    }

    pub(super) async fn hide_product(&mut self, product: ProductId) -> Result<(), StoreError> {
        let hide = "UPDATE products SET on_chain = FALSE WHERE id = $1";
        self.execute(sqlx::query(hide).bind(product.0)).await?;
        let unlist = "UPDATE chain_counts SET listed = NULL
                      WHERE subject = (SELECT address FROM products WHERE id = $1)";
        self.execute(sqlx::query(unlist).bind(product.0)).await.map(drop)
    }

    pub(super) async fn set_prices(
        &mut self,
        product: ProductId,
        prices: ProductPrices,
    ) -> Result<(), StoreError> {
        let update = "UPDATE products SET price_units = $1, price_per_call = $2, next_price_units = $3,
                                          next_price = $4, next_price_at = $5, price_rose_at = $6
                      WHERE id = $7";
        let next = prices.next.map(|(price, _)| price).unwrap_or_default();
        let statement = sqlx::query(update)
            .bind(units(prices.now.units))
            .bind(prices.now.per_call.map(|price| price.nano()))
            .bind(units(next.units))
            .bind(next.per_call.map(|price| price.nano()))
            .bind(prices.next.map(|(_, at)| at.micros()))
            .bind(prices.rose_at.map(Timestamp::micros))
            .bind(product.0);
        self.execute(statement).await.map(drop)
    }

    pub(super) async fn set_uri(&mut self, product: ProductId, uri: String) -> Result<(), StoreError> {
        let update = "UPDATE products SET uri = $1 WHERE id = $2";
        self.execute(sqlx::query(update).bind(columns::text(uri)).bind(product.0))
            .await
            .map(drop)
    }

    pub(super) async fn retire_product(&mut self, product: ProductId) -> Result<(), StoreError> {
        let update = "UPDATE products SET retired = TRUE WHERE id = $1";
        self.execute(sqlx::query(update).bind(product.0)).await.map(drop)
    }

    pub(super) async fn enable_product(
        &mut self,
        org: OrgId,
        product: ProductId,
        max_price: ChainAmount,
    ) -> Result<(), StoreError> {
        let put = "INSERT INTO org_products (org_id, product_id, max_price_units) VALUES ($1, $2, $3)
                   ON CONFLICT (org_id, product_id) DO UPDATE SET max_price_units = excluded.max_price_units";
        let statement = sqlx::query(put)
            .bind(org.0)
            .bind(product.0)
            .bind(units(max_price));
        self.execute(statement).await.map(drop)
    }

    pub(super) async fn disable_product(&mut self, org: OrgId, product: ProductId) -> Result<(), StoreError> {
        let remove = "DELETE FROM org_products WHERE org_id = $1 AND product_id = $2";
        self.execute(sqlx::query(remove).bind(org.0).bind(product.0))
            .await
            .map(drop)
    }

    /// Where a registered creator is paid.
    pub(super) async fn payout_of(
        &mut self,
        creator: WalletAddress,
    ) -> Result<Option<PayoutAddresses>, StoreError> {
        let payout = "SELECT payout_address, next_payout_address, next_payout_at FROM creators
                      WHERE wallet_address = $1";
        let row = self
            .optional(sqlx::query(payout).bind(columns::address(creator)))
            .await?;
        row.map(|row| {
            let columns = Columns::of(&row);
            let next = columns.get("creators.next_payout_address")?;
            let next_at: Option<Timestamp> = columns.get("creators.next_payout_at")?;
            Ok(PayoutAddresses {
                current: columns.get("creators.payout_address")?,
                next: next_at.map(|at| (next, at)),
            })
        })
        .transpose()
    }

    pub(super) async fn register_creator(&mut self, creator: RegisteredCreator) -> Result<(), StoreError> {
        let insert = "INSERT INTO creators (wallet_address, identity_id, uri, pub_key, created_at)
                      VALUES ($1, $2, $3, $4, $5)
                      ON CONFLICT (wallet_address) DO UPDATE SET
                          identity_id = excluded.identity_id, uri = excluded.uri, pub_key = excluded.pub_key,
                          created_at = excluded.created_at, payout_address = NULL, next_payout_address = NULL,
                          next_payout_at = NULL";
        let statement = sqlx::query(insert)
            .bind(columns::address(creator.creator))
            .bind(columns::number(creator.identity, "creators.identity_id")?)
            .bind(columns::text(creator.uri))
            .bind(columns::text(creator.pub_key))
            .bind(creator.created_at.micros());
        self.execute(statement).await.map(drop)
    }

    pub(super) async fn set_payout(
        &mut self,
        creator: WalletAddress,
        payout: PayoutAddresses,
    ) -> Result<(), StoreError> {
        let update = "UPDATE creators SET payout_address = $1, next_payout_address = $2, next_payout_at = $3
                      WHERE wallet_address = $4";
        let next = payout.next.and_then(|(address, _)| address);
        let statement = sqlx::query(update)
            .bind(payout.current.map(columns::address))
            .bind(next.map(columns::address))
            .bind(payout.next.map(|(_, at)| at.micros()))
            .bind(columns::address(creator));
        self.execute(statement).await.map(drop)
    }

    pub(super) async fn drop_creator(&mut self, creator: WalletAddress) -> Result<(), StoreError> {
        let remove = "DELETE FROM creators WHERE wallet_address = $1";
        self.execute(sqlx::query(remove).bind(columns::address(creator)))
            .await
            .map(drop)
    }
}
