//! Rows of the marketplace: creators, products, and who enabled what.

use super::{Stored, step::Indexing};
use crate::columns::{self, Columns};
use haithe_billing::chain::{ChainAmount, EventBody};
use haithe_kernel::{ProductId, StoreError, Timestamp, WalletAddress};
use haithe_orgs::model::NOBODY;

pub(super) async fn add(indexing: &mut Indexing<'_, '_>, stored: &Stored) -> Result<(), StoreError> {
    let EventBody::ProductAdded {
        index,
        product: address,
        creator,
        name,
        uri,
        encrypted_key,
        category,
        price: units,
    } = &stored.event.body
    else {
        return Ok(());
    };
    let gone = "UPDATE products SET on_chain = 0 WHERE address = ? AND created_tx <> ? AND on_chain = 1";
    let statement = sqlx::query(gone)
        .bind(columns::address(*address))
        .bind(stored.event.tx.to_vec());
    indexing.write.execute(statement).await?;

    let insert = "INSERT INTO products
                      (address, created_tx, orchestrator_index, creator, name, uri, encrypted_key, category,
                       price_units, price_per_call, created_at, created_block, on_chain)
                  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)
                  ON CONFLICT (address, created_tx) DO UPDATE SET
                      orchestrator_index = excluded.orchestrator_index, uri = excluded.uri,
                      price_units = excluded.price_units, price_per_call = excluded.price_per_call,
                      created_at = excluded.created_at, created_block = excluded.created_block,
                      retired = 0, on_chain = 1,
                      next_price_units = NULL, next_price = NULL, next_price_at = NULL, price_rose_at = NULL";
    let number = columns::number(index.saturating_add(1), "products.orchestrator_index")?;
    let money = indexing.scale.money(*units);
    let statement = sqlx::query(insert)
        .bind(columns::address(*address))
        .bind(stored.event.tx.to_vec())
        .bind(number)
        .bind(columns::address(*creator))
        .bind(name.clone())
        .bind(uri.clone())
        .bind(encrypted_key.clone())
        .bind(category.clone())
        .bind(units.map(|units| units.to_string()))
        .bind(money.map(|(price, _)| price.nano()))
        .bind(stored.event.block_time.micros())
        .bind(stored.block()?);
    indexing.write.execute(statement).await.map(drop)
}

/// A new price, rounded down to a nano; one beyond our range makes the product unusable. It cancels
/// an announced rise.
pub(super) async fn price(
    indexing: &mut Indexing<'_, '_>,
    product: WalletAddress,
    units: ChainAmount,
) -> Result<(), StoreError> {
    let update = "UPDATE products SET price_units = ?, price_per_call = ?, next_price_units = NULL,
                                      next_price = NULL, next_price_at = NULL, price_rose_at = NULL
                  WHERE address = ? AND on_chain = 1";
    let money = indexing.scale.money(units);
    let statement = sqlx::query(update)
        .bind(units.map(|units| units.to_string()))
        .bind(money.map(|(price, _)| price.nano()))
        .bind(columns::address(product));
    indexing.write.execute(statement).await.map(drop)
}

/// Notes an announced rise, which replaces an earlier one.
pub(super) async fn schedule_price(
    indexing: &mut Indexing<'_, '_>,
    stored: &Stored,
) -> Result<(), StoreError> {
    let EventBody::PriceScheduled {
        product,
        price: now,
        next_price,
        next_price_at,
    } = stored.event.body
    else {
        return Ok(());
    };
    price(indexing, product, now).await?;
    let update = "UPDATE products SET next_price_units = ?, next_price = ?, next_price_at = ?
                  WHERE address = ? AND on_chain = 1";
    let money = indexing.scale.money(next_price);
    let statement = sqlx::query(update)
        .bind(next_price.map(|units| units.to_string()))
        .bind(money.map(|(price, _)| price.nano()))
        .bind(next_price_at.micros())
        .bind(columns::address(product));
    indexing.write.execute(statement).await.map(drop)
}

/// Puts the announced prices in force whose time has come by `now`, the time of the indexed head.
pub(super) async fn raise_prices(indexing: &mut Indexing<'_, '_>, now: Timestamp) -> Result<(), StoreError> {
    let raise = "UPDATE products SET price_units = next_price_units, price_per_call = next_price,
                                     price_rose_at = next_price_at, next_price_units = NULL,
                                     next_price = NULL, next_price_at = NULL
                 WHERE next_price_at <= ? AND on_chain = 1";
    let statement = sqlx::query(raise).bind(now.micros());
    indexing.write.execute(statement).await.map(drop)
}

/// Products whose announced price came into force after this time.
pub(super) async fn risen_after(
    indexing: &mut Indexing<'_, '_>,
    time: Timestamp,
) -> Result<Vec<WalletAddress>, StoreError> {
    let risen = "SELECT address FROM products WHERE price_rose_at > ? AND on_chain = 1";
    let rows = indexing.write.all(sqlx::query(risen).bind(time.micros())).await?;
    rows.iter()
        .map(|row| Columns::of(row).read("products.address"))
        .collect()
}

/// Notes a proposed payout address, or that the proposal was cancelled.
pub(super) async fn payout_address(
    indexing: &mut Indexing<'_, '_>,
    stored: &Stored,
) -> Result<(), StoreError> {
    // What the earlier proposal had become by this block stays in effect until the new one is.
    let settle =
        "UPDATE creators SET payout_address = iif(next_payout_at <= ?, next_payout_address, payout_address),
                                      next_payout_address = NULL, next_payout_at = NULL
                  WHERE wallet_address = ?";
    let (creator, proposed) = match stored.event.body {
        EventBody::PayoutAddressProposed {
            creator,
            payout,
            effective_at,
        } => (creator, Some((payout, effective_at))),
        EventBody::PayoutAddressCancelled { creator } => (creator, None),
        _ => return Ok(()),
    };
    let statement = sqlx::query(settle)
        .bind(stored.event.block_time.micros())
        .bind(columns::address(creator));
    indexing.write.execute(statement).await?;
    let Some((payout, effective_at)) = proposed else {
        return Ok(());
    };
    let propose = "UPDATE creators SET next_payout_address = ?, next_payout_at = ? WHERE wallet_address = ?";
    let statement = sqlx::query(propose)
        .bind((payout != NOBODY).then(|| columns::address(payout)))
        .bind(effective_at.micros())
        .bind(columns::address(creator));
    indexing.write.execute(statement).await.map(drop)
}

pub(super) async fn uri(
    indexing: &mut Indexing<'_, '_>,
    product: WalletAddress,
    uri: String,
) -> Result<(), StoreError> {
    let update = "UPDATE products SET uri = ? WHERE address = ? AND on_chain = 1";
    let statement = sqlx::query(update).bind(uri).bind(columns::address(product));
    indexing.write.execute(statement).await.map(drop)
}

pub(super) async fn retire(
    indexing: &mut Indexing<'_, '_>,
    product: WalletAddress,
) -> Result<(), StoreError> {
    let update = "UPDATE products SET retired = 1 WHERE address = ? AND on_chain = 1";
    indexing
        .write
        .execute(sqlx::query(update).bind(columns::address(product)))
        .await
        .map(drop)
}

pub(super) async fn register_creator(
    indexing: &mut Indexing<'_, '_>,
    stored: &Stored,
) -> Result<(), StoreError> {
    let EventBody::CreatorRegistered {
        creator,
        id,
        uri,
        pub_key,
    } = &stored.event.body
    else {
        return Ok(());
    };
    let insert = "INSERT OR REPLACE INTO creators (wallet_address, identity_id, uri, pub_key, created_at)
                  VALUES (?, ?, ?, ?, ?)";
    let statement = sqlx::query(insert)
        .bind(columns::address(*creator))
        .bind(columns::number(*id, "creators.identity_id")?)
        .bind(uri.clone())
        .bind(pub_key.clone())
        .bind(stored.event.block_time.micros());
    indexing.write.execute(statement).await.map(drop)
}

async fn product_at(
    indexing: &mut Indexing<'_, '_>,
    address: WalletAddress,
) -> Result<Option<ProductId>, StoreError> {
    let find = "SELECT id FROM products WHERE address = ? AND on_chain = 1";
    let row = indexing
        .write
        .optional(sqlx::query(find).bind(columns::address(address)))
        .await?;
    row.map(|row| Columns::of(&row).read("products.id")).transpose()
}

pub(super) async fn enable(
    indexing: &mut Indexing<'_, '_>,
    org: WalletAddress,
    product: WalletAddress,
    max_price: ChainAmount,
) -> Result<(), StoreError> {
    let (Some(org), Some(product)) = (indexing.org_at(org).await?, product_at(indexing, product).await?)
    else {
        return Ok(());
    };
    let put = "INSERT INTO org_products (org_id, product_id, max_price_units) VALUES (?, ?, ?)
               ON CONFLICT DO UPDATE SET max_price_units = excluded.max_price_units";
    let max_price = max_price.map(|units| units.to_string());
    let statement = sqlx::query(put).bind(org.0).bind(product.0).bind(max_price);
    indexing.write.execute(statement).await.map(drop)
}

pub(super) async fn disable(
    indexing: &mut Indexing<'_, '_>,
    org: WalletAddress,
    product: WalletAddress,
) -> Result<(), StoreError> {
    let (Some(org), Some(product)) = (indexing.org_at(org).await?, product_at(indexing, product).await?)
    else {
        return Ok(());
    };
    let remove = "DELETE FROM org_products WHERE org_id = ? AND product_id = ?";
    indexing
        .write
        .execute(sqlx::query(remove).bind(org.0).bind(product.0))
        .await
        .map(drop)
}

/// Takes back what events said about the product or creator at this address, before they are replayed.
pub(super) async fn forget(
    indexing: &mut Indexing<'_, '_>,
    address: WalletAddress,
) -> Result<(), StoreError> {
    for forget in [
        "UPDATE products SET on_chain = 0 WHERE address = ?",
        "DELETE FROM creators WHERE wallet_address = ?",
    ] {
        indexing
            .write
            .execute(sqlx::query(forget).bind(columns::address(address)))
            .await?;
    }
    Ok(())
}
