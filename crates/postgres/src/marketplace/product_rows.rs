//! Between rows of products and the domain's types.

use crate::columns::Columns;
use haithe_kernel::{Decimals, StoreError, Timestamp, TokenUnits, Usdt};
use haithe_marketplace::{
    NextPrice, Product, ProductPage, Uses,
    catalog::ProjectProduct,
    loading::ProductSource,
    ports::{CallProduct, ProductAcceptance},
    usability::{ContentPin, ProductFault, ProductField},
};
use sqlx::postgres::PgRow;

/// The columns of [`bare`].
macro_rules! bare_columns {
    () => {
        "products.id, products.address, products.creator, products.name, products.category,
         products.price_per_call, products.next_price, products.next_price_at, products.created_at,
         products.retired,
         coalesce(products.created_block <= (SELECT confirmed FROM chain_binding), TRUE) AS confirmed"
    };
}
pub(super) use bare_columns;

/// A query of [`page`]'s columns, with what follows the tables.
macro_rules! select_pages {
    ($($rest:expr),+) => {
        select_pages!(with "", $($rest),+)
    };
    (with $columns:expr, $($rest:expr),+) => {
        concat!(
            "SELECT ", bare_columns!(), ",
                    product_pages.description, product_pages.photo_url, coalesce(product_totals.calls, 0) AS calls,
                    (SELECT count(*) FROM project_products AS uses JOIN projects ON projects.id = uses.project_id
                     WHERE uses.product_id = products.id AND NOT projects.deleted) AS projects,
                    products.uri, products.encrypted_key,
                    product_faults.reason, product_faults.field, product_faults.pointer
                    ", $columns, "
             FROM products LEFT JOIN product_pages ON product_pages.product_id = products.id
             LEFT JOIN product_faults ON product_faults.product_id = products.id
                 AND product_faults.content_uri = products.uri
             LEFT JOIN product_totals ON product_totals.product_id = products.id ",
            $($rest),+
        )
    };
}
pub(super) use select_pages;

/// A product, and the chain's word for its category.
fn bare(columns: &Columns<'_>) -> Result<(Product, String), StoreError> {
    let category: String = columns.get("products.category")?;
    let product = Product {
        id: columns.get("products.id")?,
        address: columns.get("products.address")?,
        creator: columns.get("products.creator")?,
        name: columns.get("products.name")?,
        category: category.parse().ok(),
        price_per_call: columns.get("products.price_per_call")?,
        next_price: next_price(columns)?,
        created_at: columns.get("products.created_at")?,
        retired: columns.get("products.retired")?,
        confirmed: columns.get("products.confirmed")?,
    };
    Ok((product, category))
}

fn next_price(columns: &Columns<'_>) -> Result<Option<NextPrice>, StoreError> {
    let price_per_call = columns.get("products.next_price")?;
    let at: Option<Timestamp> = columns.get("products.next_price_at")?;
    Ok(at.map(|at| NextPrice { price_per_call, at }))
}

/// A product with its page, its uses and what is wrong with its content.
pub(super) fn page(row: &PgRow) -> Result<ProductPage, StoreError> {
    Ok(page_and_uri(&Columns::of(row))?.0)
}

/// The same with the address of its published content.
fn page_and_uri(columns: &Columns<'_>) -> Result<(ProductPage, String), StoreError> {
    let (product, category) = bare(columns)?;
    let source = ProductSource {
        uri: columns.get("products.uri")?,
        encrypted_key: columns.get("products.encrypted_key")?,
        category: category.clone(),
        creator: product.creator,
    };
    let noted = noted_fault(columns)?;
    let page = ProductPage {
        product,
        category,
        description: columns.get("product_pages.description")?,
        photo_url: columns.get("product_pages.photo_url")?,
        uses: Uses {
            calls: columns.get("product_totals.calls")?,
            projects: columns.get("project_products.projects")?,
        },
        content_fault: ProductFault::of_published(&source).or(noted),
    };
    Ok((page, source.uri))
}

fn noted_fault(columns: &Columns<'_>) -> Result<Option<ProductFault>, StoreError> {
    let reason: Option<String> = columns.get("product_faults.reason")?;
    let field: Option<String> = columns.get("product_faults.field")?;
    let Some((reason, field)) = reason.zip(field) else {
        return Ok(None);
    };
    let field = ProductField::of(&field).ok_or(StoreError::inconsistent("product_faults.field"))?;
    Ok(Some(ProductFault {
        field,
        pointer: columns.get("product_faults.pointer")?,
        reason,
    }))
}

/// A product that a project enabled, from a row of [`select_pages`] with the accepted content.
pub(super) fn project_product(row: &PgRow) -> Result<ProjectProduct, StoreError> {
    let columns = Columns::of(row);
    let (page, published_uri) = page_and_uri(&columns)?;
    Ok(ProjectProduct {
        page,
        pin: pin(&columns)?,
        published_uri,
    })
}

/// The content that a project accepted.
fn pin(columns: &Columns<'_>) -> Result<ContentPin, StoreError> {
    Ok(ContentPin {
        uri: columns.get("project_products.content_uri")?,
        follow_updates: columns.get("project_products.follow_updates")?,
    })
}

/// What the highest price that a contract accepts, and the one in force, say of a call. A maximum beyond 128 bits
/// is no limit; a price beyond them is above every limit.
pub(super) fn acceptance(row: &PgRow, decimals: Decimals) -> Result<ProductAcceptance, StoreError> {
    let columns = Columns::of(row);
    let most: Option<u128> = columns.get("org_products.max_price_units")?;
    let price: Option<u128> = columns.get("products.price_units")?;
    Ok(match most {
        Some(most) if price.is_none_or(|price| price > most) => {
            let shown = Usdt::from_units(TokenUnits::new(most), decimals);
            ProductAcceptance::AboveMaximum(shown.ok().map(|(most, _)| most))
        }
        _ => ProductAcceptance::Accepted,
    })
}

/// A project's product, as a call finds it.
pub(super) fn call_product(row: &PgRow, decimals: Decimals) -> Result<CallProduct, StoreError> {
    let columns = Columns::of(row);
    let (product, category) = bare(&columns)?;
    let enabled: bool = columns.get("org_products.enabled")?;
    let at_price = acceptance(row, decimals)?;
    let pin = pin(&columns)?;
    let published: String = columns.get("products.uri")?;
    Ok(CallProduct {
        acceptance: if enabled {
            at_price
        } else {
            ProductAcceptance::NotOnChain
        },
        source: ProductSource {
            uri: pin.uri_in_use(&published).to_owned(),
            encrypted_key: columns.get("products.encrypted_key")?,
            category,
            creator: product.creator,
        },
        outdated: pin.is_outdated(&published),
        fault_noted: columns.get("product_faults.fault_noted")?,
        product,
    })
}
