//! [`ProductStore`] on PostgreSQL. Only the index writes products; their pages and uses are written here.

use super::{
    product_rows::{bare_columns, call_product, page, project_product, select_pages},
    project_products::{self, Enable, Use},
};
use crate::{
    columns::{self, Columns},
    db::{Db, Statement},
    write::WriteTx,
};
use async_trait::async_trait;
use haithe_kernel::{Listed, OrgId, Page, ProductId, ProjectId, StoreError, Timestamp, WalletAddress};
use haithe_marketplace::{
    PageChange, ProductFilter, ProductOrder, ProductPage,
    catalog::ProjectProduct,
    loading::ProductSource,
    ports::{CallProduct, ContentAcceptance, EnabledContent, Enabling, ProductStore},
    usability::ProductFault,
};
use haithe_orgs::audit::Act;
use sqlx::postgres::PgRow;

/// [`ProductStore`] on PostgreSQL.
#[derive(Clone)]
pub struct PgProductStore {
    db: Db,
}

impl PgProductStore {
    /// The products of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

/// What the filter asks for, as conditions that a `NULL` switches off.
macro_rules! filtered {
    () => {
        "WHERE products.on_chain
           AND ($1 IS NULL OR products.category = $1)
           AND ($2 IS NULL OR products.creator = $2)
           AND ($3 IS NULL OR products.name ILIKE $3 OR product_pages.description ILIKE $3) "
    };
}

const NEWEST_FIRST: &str = select_pages!(filtered!(), "ORDER BY products.id DESC LIMIT $4 OFFSET $5");
const CHEAPEST_FIRST: &str = select_pages!(
    filtered!(),
    "ORDER BY products.price_per_call NULLS LAST, products.id LIMIT $4 OFFSET $5"
);
const MOST_CALLED_FIRST: &str = select_pages!(
    filtered!(),
    "ORDER BY coalesce(product_totals.calls, 0) DESC, products.id DESC LIMIT $4 OFFSET $5"
);
const COUNT: &str = concat!(
    "SELECT count(*) FROM products
     LEFT JOIN product_pages ON product_pages.product_id = products.id ",
    filtered!()
);
const FIND: &str = select_pages!("WHERE products.id = $1 AND products.on_chain");
const NEWEST: &str =
    select_pages!("WHERE products.creator = $1 AND products.on_chain ORDER BY products.id DESC LIMIT 1");
const OF_PROJECT: &str = select_pages!(
    with ", project_products.content_uri, project_products.follow_updates",
    "JOIN project_products ON project_products.product_id = products.id
     WHERE project_products.project_id = $1 AND products.on_chain
     ORDER BY project_products.enabled_at, products.id"
);
const FOR_CALL: &str = concat!(
    "SELECT ",
    bare_columns!(),
    ", products.on_chain AND org_products.org_id IS NOT NULL AS enabled,
       org_products.max_price_units, products.price_units,
       project_products.content_uri, project_products.follow_updates,
       products.uri, products.encrypted_key, product_faults.product_id IS NOT NULL AS fault_noted
     FROM project_products
     JOIN projects ON projects.id = project_products.project_id
     JOIN products ON products.id = project_products.product_id
     LEFT JOIN org_products
         ON org_products.product_id = products.id AND org_products.org_id = projects.org_id
     LEFT JOIN product_faults ON product_faults.product_id = products.id
         AND product_faults.content_uri = products.uri
     WHERE project_products.project_id = $1
     ORDER BY project_products.enabled_at, products.id"
);
const DESCRIBE: &str = "
    INSERT INTO product_pages (product_id, description, photo_url) VALUES ($1, $3, $5)
    ON CONFLICT (product_id) DO UPDATE SET
        description = CASE WHEN $2 THEN excluded.description ELSE product_pages.description END,
        photo_url = CASE WHEN $4 THEN excluded.photo_url ELSE product_pages.photo_url END";
const NOTE_FAULT: &str = "
    INSERT INTO product_faults (product_id, content_uri, reason, field, pointer, found_at)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (product_id) DO UPDATE SET content_uri = excluded.content_uri, reason = excluded.reason,
        field = excluded.field, pointer = excluded.pointer, found_at = excluded.found_at";
const FORGET_FAULT: &str = "DELETE FROM product_faults WHERE product_id = $1 AND content_uri = $2";

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
    columns::text(pattern)
}

fn source(row: &PgRow) -> Result<ProductSource, StoreError> {
    let columns = Columns::of(row);
    Ok(ProductSource {
        uri: columns.get("products.uri")?,
        encrypted_key: columns.get("products.encrypted_key")?,
        category: columns.get("products.category")?,
        creator: columns.get("products.creator")?,
    })
}

async fn found(write: &mut WriteTx, id: ProductId) -> Result<Option<ProductPage>, StoreError> {
    let row = write.optional(sqlx::query(FIND).bind(id.0)).await?;
    row.as_ref().map(page).transpose()
}

async fn describe(
    write: &mut WriteTx,
    (id, change): &(ProductId, PageChange),
) -> Result<Option<ProductPage>, StoreError> {
    if found(write, *id).await?.is_none() {
        return Ok(None);
    }
    let statement = sqlx::query(DESCRIBE)
        .bind(id.0)
        .bind(change.description.is_some())
        .bind(change.description.clone().flatten().map(columns::text))
        .bind(change.photo_url.is_some())
        .bind(change.photo_url.clone().flatten().map(columns::text));
    write.execute(statement).await?;
    found(write, *id).await
}

#[async_trait]
impl ProductStore for PgProductStore {
    async fn list(&self, filter: ProductFilter, page_of: Page) -> Result<Listed<ProductPage>, StoreError> {
        let rows = match filter.order {
            ProductOrder::Newest => NEWEST_FIRST,
            ProductOrder::Price => CHEAPEST_FIRST,
            ProductOrder::Calls => MOST_CALLED_FIRST,
        };
        let bound = |statement: Statement| {
            statement
                .bind(filter.category.clone().map(columns::text))
                .bind(filter.creator.map(columns::address))
                .bind(filter.text.as_deref().map(anywhere))
        };
        let count = bound(sqlx::query(COUNT));
        self.db
            .listed(count, (bound(sqlx::query(rows)), page_of), page)
            .await
    }

    async fn find(&self, id: ProductId) -> Result<Option<ProductPage>, StoreError> {
        let row = self.db.optional(sqlx::query(FIND).bind(id.0)).await?;
        row.as_ref().map(page).transpose()
    }

    async fn source(&self, id: ProductId) -> Result<Option<ProductSource>, StoreError> {
        let find = "SELECT uri, encrypted_key, category, creator FROM products WHERE id = $1 AND on_chain";
        let row = self.db.optional(sqlx::query(find).bind(id.0)).await?;
        row.as_ref().map(source).transpose()
    }

    async fn newest(&self, creator: WalletAddress) -> Result<(Option<ProductPage>, u64), StoreError> {
        let mut snapshot = self.db.snapshot().await?;
        let newest = sqlx::query(NEWEST).bind(columns::address(creator));
        let newest = newest.fetch_optional(&mut *snapshot).await;
        let newest = newest.map_err(StoreError::new)?;
        let count = sqlx::query("SELECT count(*) FROM products WHERE on_chain");
        let count = count.fetch_one(&mut *snapshot).await.map_err(StoreError::new)?;
        Ok((
            newest.as_ref().map(page).transpose()?,
            Columns::of(&count).get("products.count")?,
        ))
    }

    async fn describe(&self, id: ProductId, change: PageChange) -> Result<Option<ProductPage>, StoreError> {
        self.db
            .write((id, change), |write, change| Box::pin(describe(write, change)))
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
        let enable = Enable {
            of: Use {
                org,
                project,
                product,
                act,
            },
            content,
            most,
            decimals: self.db.decimals(),
        };
        self.db
            .write(enable, |write, new| {
                Box::pin(project_products::enable(write, new))
            })
            .await
    }

    async fn accept_content(
        &self,
        (org, project): (OrgId, ProjectId),
        product: ProductId,
        uri: String,
        act: Act,
    ) -> Result<ContentAcceptance, StoreError> {
        let used = Use {
            org,
            project,
            product,
            act,
        };
        self.db
            .write((used, uri), |write, content| {
                Box::pin(project_products::accept_content(write, content))
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
        let noted = self.db.execute(|| match &fault {
            None => sqlx::query(FORGET_FAULT).bind(product.0).bind(uri.clone()),
            Some(fault) => sqlx::query(NOTE_FAULT)
                .bind(product.0)
                .bind(uri.clone())
                .bind(columns::text(fault.reason.as_str()))
                .bind(fault.field.as_str())
                .bind(fault.pointer.clone().map(columns::text))
                .bind(at.micros()),
        });
        noted.await.map(drop)
    }

    async fn disable(
        &self,
        (org, project): (OrgId, ProjectId),
        product: ProductId,
        act: Act,
    ) -> Result<bool, StoreError> {
        let used = Use {
            org,
            project,
            product,
            act,
        };
        self.db
            .write(used, |write, used| {
                Box::pin(project_products::disable(write, used))
            })
            .await
    }

    async fn for_call(&self, project: ProjectId) -> Result<Vec<CallProduct>, StoreError> {
        let rows = self.db.all(sqlx::query(FOR_CALL).bind(project.0)).await?;
        let decimals = self.db.decimals();
        rows.iter().map(|row| call_product(row, decimals)).collect()
    }

    async fn of_project(&self, project: ProjectId) -> Result<Vec<ProjectProduct>, StoreError> {
        let rows = self.db.all(sqlx::query(OF_PROJECT).bind(project.0)).await?;
        rows.iter().map(project_product).collect()
    }
}
