//! [`ProductStore`] on SQLite. Only the index writes products; their pages are written here, their uses in
//! [`product_uses`].

use super::product_uses;
use crate::{
    columns::{self, Columns},
    db::{Db, WriteTx},
    ledger::scale::Scale,
};
use async_trait::async_trait;
use haithe_kernel::{Listed, OrgId, Page, ProductId, ProjectId, StoreError, Timestamp, WalletAddress};
use haithe_marketplace::{
    NextPrice, PageChange, Product, ProductFilter, ProductOrder, ProductPage, Uses,
    catalog::ProjectProduct,
    loading::ProductSource,
    ports::{CallProduct, ContentAcceptance, EnabledContent, Enabling, ProductAcceptance, ProductStore},
    usability::{ContentPin, ProductFault, ProductField},
};
use haithe_orgs::audit::Act;
use sqlx::sqlite::SqliteRow;

/// [`ProductStore`] on SQLite.
#[derive(Clone)]
pub struct SqliteProductStore {
    db: Db,
}

impl SqliteProductStore {
    /// The products of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

/// A query of [`product`]'s columns, with what follows the tables.
macro_rules! select {
    ($($rest:expr),+) => {
        select!(with "", $($rest),+)
    };
    (with $columns:expr, $($rest:expr),+) => {
        concat!(
            "SELECT products.id, products.address, products.creator, products.name, products.category,
                    products.price_per_call, products.next_price, products.next_price_at,
                    products.created_at, products.retired,
           coalesce(products.created_block <= (SELECT confirmed FROM chain_binding), 1) AS confirmed,
                    product_pages.description, product_pages.photo_url, coalesce(product_totals.calls, 0) AS calls,
                    (SELECT count(*) FROM project_products AS uses JOIN projects ON projects.id = uses.project_id
                     WHERE uses.product_id = products.id AND projects.deleted = 0) AS projects,
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

/// What the filter asks for, as conditions that a `NULL` switches off.
macro_rules! filtered {
    () => {
        "WHERE products.on_chain = 1
           AND (?1 IS NULL OR products.category = ?1)
           AND (?2 IS NULL OR products.creator = ?2)
           AND (?3 IS NULL OR products.name LIKE ?3 ESCAPE '\\'
                OR product_pages.description LIKE ?3 ESCAPE '\\') "
    };
}

fn product(row: &SqliteRow) -> Result<ProductPage, StoreError> {
    page(&Columns::of(row))
}

/// Reads a product, its page, its uses and what is wrong with its content from a row of `select!`.
fn page(columns: &Columns<'_>) -> Result<ProductPage, StoreError> {
    Ok(page_and_uri(columns)?.0)
}

/// The same with the address of its published content.
fn page_and_uri(columns: &Columns<'_>) -> Result<(ProductPage, String), StoreError> {
    let (product, category) = bare(columns)?;
    let description = columns.get("product_pages.description")?;
    let photo_url = columns.get("product_pages.photo_url")?;
    let uses = Uses {
        calls: columns.get("product_totals.calls")?,
        projects: columns.get_as("projects", "project_products.project_id")?,
    };
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
        description,
        photo_url,
        uses,
        content_fault: ProductFault::of_published(&source).or(noted),
    };
    Ok((page, source.uri))
}

/// Reads a stored fault.
fn noted_fault(columns: &Columns<'_>) -> Result<Option<ProductFault>, StoreError> {
    let reason: Option<String> = columns.get("product_faults.reason")?;
    let field: Option<String> = columns.get("product_faults.field")?;
    let pointer = columns.get("product_faults.pointer")?;
    let Some((reason, field)) = reason.zip(field) else {
        return Ok(None);
    };
    let field = ProductField::of(&field).ok_or(StoreError::inconsistent("product_faults.field"))?;
    Ok(Some(ProductFault {
        field,
        pointer,
        reason,
    }))
}

/// A product that a project enabled, from a row of `select!` with the accepted content behind it.
fn project_product(row: &SqliteRow) -> Result<ProjectProduct, StoreError> {
    let columns = Columns::of(row);
    let (page, published_uri) = page_and_uri(&columns)?;
    Ok(ProjectProduct {
        page,
        pin: pin(&columns)?,
        published_uri,
    })
}

/// Reads the content that a project accepted.
fn pin(columns: &Columns<'_>) -> Result<ContentPin, StoreError> {
    Ok(ContentPin {
        uri: columns.get("project_products.content_uri")?,
        follow_updates: columns.get("project_products.follow_updates")?,
    })
}

/// Reads a product, and the chain's word for its category.
fn bare(columns: &Columns<'_>) -> Result<(Product, String), StoreError> {
    let id = columns.get("products.id")?;
    let address = columns.get("products.address")?;
    let creator = columns.get("products.creator")?;
    let name = columns.get("products.name")?;
    let category: String = columns.get("products.category")?;
    let product = Product {
        id,
        address,
        creator,
        name,
        category: category.parse().ok(),
        price_per_call: columns.get("products.price_per_call")?,
        next_price: next_price(columns)?,
        created_at: columns.get("products.created_at")?,
        retired: columns.get("products.retired")?,
        confirmed: columns.get_as("confirmed", "products.created_block")?,
    };
    Ok((product, category))
}

/// Reads an announced price.
fn next_price(columns: &Columns<'_>) -> Result<Option<NextPrice>, StoreError> {
    let price_per_call = columns.get("products.next_price")?;
    let at: Option<Timestamp> = columns.get("products.next_price_at")?;
    Ok(at.map(|at| NextPrice { price_per_call, at }))
}

/// A pattern that finds `text` anywhere: its own wildcards mean themselves.
fn anywhere(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

async fn find(write: &mut WriteTx<'_>, id: ProductId) -> Result<Option<ProductPage>, StoreError> {
    let find = select!("WHERE products.id = ? AND products.on_chain = 1");
    let row = write.optional(sqlx::query(find).bind(id.0)).await?;
    row.as_ref().map(product).transpose()
}

async fn describe(
    write: &mut WriteTx<'_>,
    id: ProductId,
    change: PageChange,
) -> Result<Option<ProductPage>, StoreError> {
    if find(write, id).await?.is_none() {
        return Ok(None);
    }
    let put = "INSERT INTO product_pages (product_id, description, photo_url) VALUES (?1, ?3, ?5)
               ON CONFLICT DO UPDATE SET
                   description = iif(?2, excluded.description, description),
                   photo_url = iif(?4, excluded.photo_url, photo_url)";
    let statement = sqlx::query(put)
        .bind(id.0)
        .bind(change.description.is_some())
        .bind(change.description.flatten())
        .bind(change.photo_url.is_some())
        .bind(change.photo_url.flatten());
    write.execute(statement).await?;
    find(write, id).await
}

/// Compares the price that a contract accepts at most with the one in force.
/// A maximum beyond 128 bits is no limit; a price beyond them is above every limit.
pub(super) fn acceptance(columns: &Columns<'_>, scale: Scale) -> Result<ProductAcceptance, StoreError> {
    let most: Option<u128> = columns.get("org_products.max_price_units")?;
    let price: Option<u128> = columns.get("products.price_units")?;
    Ok(match most {
        Some(most) if price.is_none_or(|price| price > most) => {
            let shown = scale.money(Some(most));
            ProductAcceptance::AboveMaximum(shown.map(|(most, _)| most))
        }
        _ => ProductAcceptance::Accepted,
    })
}

const FOR_CALL: &str = "
    SELECT products.id, products.address, products.creator, products.name, products.category,
           products.price_per_call, products.next_price, products.next_price_at,
           products.created_at, products.retired,
           coalesce(products.created_block <= (SELECT confirmed FROM chain_binding), 1) AS confirmed,
           products.on_chain AND org_products.org_id IS NOT NULL AS accepted,
           org_products.max_price_units, products.price_units,
           project_products.content_uri, project_products.follow_updates,
           products.uri, products.encrypted_key, product_faults.product_id IS NOT NULL AS fault_noted
    FROM project_products
    JOIN projects ON projects.id = project_products.project_id
    JOIN products ON products.id = project_products.product_id
    LEFT JOIN org_products ON org_products.product_id = products.id AND org_products.org_id = projects.org_id
    LEFT JOIN product_faults ON product_faults.product_id = products.id
        AND product_faults.content_uri = products.uri
    WHERE project_products.project_id = ?
    ORDER BY project_products.enabled_at, products.id";

#[async_trait]
impl ProductStore for SqliteProductStore {
    async fn list(&self, filter: ProductFilter, page: Page) -> Result<Listed<ProductPage>, StoreError> {
        let rows = match filter.order {
            ProductOrder::Newest => select!(filtered!(), "ORDER BY products.id DESC LIMIT ?4 OFFSET ?5"),
            ProductOrder::Price => select!(
                filtered!(),
                "ORDER BY products.price_per_call IS NULL, products.price_per_call, products.id
                 LIMIT ?4 OFFSET ?5"
            ),
            ProductOrder::Calls => select!(
                filtered!(),
                "ORDER BY coalesce(product_totals.calls, 0) DESC, products.id DESC LIMIT ?4 OFFSET ?5"
            ),
        };
        let count = concat!(
            "SELECT count(*) AS count FROM products
             LEFT JOIN product_pages ON product_pages.product_id = products.id ",
            filtered!()
        );
        let (creator, text) = (
            filter.creator.map(columns::address),
            filter.text.as_deref().map(anywhere),
        );
        let rows = sqlx::query(rows)
            .bind(filter.category.clone())
            .bind(creator.clone())
            .bind(text.clone())
            .bind(page.limit())
            .bind(page.offset());
        let count = sqlx::query(count).bind(filter.category).bind(creator).bind(text);
        self.db.listed(count, rows, product).await
    }

    async fn find(&self, id: ProductId) -> Result<Option<ProductPage>, StoreError> {
        let find = select!("WHERE products.id = ? AND products.on_chain = 1");
        let row = self.db.optional(sqlx::query(find).bind(id.0)).await?;
        row.as_ref().map(product).transpose()
    }

    async fn source(&self, id: ProductId) -> Result<Option<ProductSource>, StoreError> {
        let find = "SELECT uri, encrypted_key, category, creator FROM products WHERE id = ? AND on_chain = 1";
        let row = self.db.optional(sqlx::query(find).bind(id.0)).await?;
        let source = |row: &SqliteRow| {
            let columns = Columns::of(row);
            Ok(ProductSource {
                uri: columns.get("products.uri")?,
                encrypted_key: columns.get("products.encrypted_key")?,
                category: columns.get("products.category")?,
                creator: columns.get("products.creator")?,
            })
        };
        row.as_ref().map(source).transpose()
    }

    async fn newest(&self, creator: WalletAddress) -> Result<(Option<ProductPage>, u64), StoreError> {
        let newest =
            select!("WHERE products.creator = ? AND products.on_chain = 1 ORDER BY products.id DESC LIMIT 1");
        let count = sqlx::query("SELECT count(*) AS count FROM products WHERE on_chain = 1");
        let newest = sqlx::query(newest).bind(columns::address(creator));
        let listed = self.db.listed(count, newest, product).await?;
        Ok((listed.items.into_iter().next(), listed.total))
    }

    async fn describe(&self, id: ProductId, change: PageChange) -> Result<Option<ProductPage>, StoreError> {
        self.db
            .write(move |write| Box::pin(describe(write, id, change)))
            .await
    }

    async fn enable(
        &self,
        (org, project): (OrgId, ProjectId),
        product: ProductId,
        content: EnabledContent,
        most: u32,
        act: Act,
    ) -> Result<Enabling, StoreError> {
        let scale = self.db.scale();
        let used = (org, project, product);
        self.db
            .write(move |write| {
                Box::pin(async move { product_uses::enable(write, used, content, (most, scale), &act).await })
            })
            .await
    }

    async fn accept_content(
        &self,
        used: (OrgId, ProjectId),
        product: ProductId,
        uri: String,
        act: Act,
    ) -> Result<ContentAcceptance, StoreError> {
        self.db
            .write(move |write| {
                Box::pin(async move { product_uses::accept_content(write, used, product, uri, &act).await })
            })
            .await
    }

    async fn note_fault(
        &self,
        product: ProductId,
        uri: String,
        fault: Option<ProductFault>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(fault) = fault else {
            let forget = "DELETE FROM product_faults WHERE product_id = ? AND content_uri = ?";
            let statement = sqlx::query(forget).bind(product.0).bind(uri);
            return self.db.execute(statement).await.map(drop);
        };
        let note = "INSERT INTO product_faults (product_id, content_uri, reason, field, pointer, found_at)
                    VALUES (?, ?, ?, ?, ?, ?)
                    ON CONFLICT DO UPDATE SET content_uri = excluded.content_uri, reason = excluded.reason,
                        field = excluded.field, pointer = excluded.pointer, found_at = excluded.found_at";
        let statement = sqlx::query(note)
            .bind(product.0)
            .bind(uri)
            .bind(fault.reason)
            .bind(fault.field.as_str())
            .bind(fault.pointer)
            .bind(at.micros());
        self.db.execute(statement).await.map(drop)
    }

    async fn disable(
        &self,
        used: (OrgId, ProjectId),
        product: ProductId,
        act: Act,
    ) -> Result<bool, StoreError> {
        self.db
            .write(move |write| {
                Box::pin(async move { product_uses::disable(write, used, product, &act).await })
            })
            .await
    }

    async fn for_call(&self, project: ProjectId) -> Result<Vec<CallProduct>, StoreError> {
        let scale = self.db.scale();
        let rows = self.db.all(sqlx::query(FOR_CALL).bind(project.0)).await?;
        let call_product = |row: &SqliteRow| {
            let columns = Columns::of(row);
            let (product, category) = bare(&columns)?;
            let enabled: bool = columns.get_as("accepted", "org_products.org_id")?;
            let at_price = acceptance(&columns, scale)?;
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
                fault_noted: columns.get_as("fault_noted", "product_faults.product_id")?,
                product,
            })
        };

        rows.iter().map(call_product).collect()
    }

    async fn of_project(&self, project: ProjectId) -> Result<Vec<ProjectProduct>, StoreError> {
        let products = select!(
            with ", project_products.content_uri, project_products.follow_updates",
            "JOIN project_products ON project_products.product_id = products.id
             WHERE project_products.project_id = ? AND products.on_chain = 1
             ORDER BY project_products.enabled_at, products.id"
        );
        let rows = self.db.all(sqlx::query(products).bind(project.0)).await?;
        rows.iter().map(project_product).collect()
    }
}
