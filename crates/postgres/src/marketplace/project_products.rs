//! Which projects use which products, and the content that they accepted.

use super::product_rows::acceptance;
use crate::{columns::Columns, write::WriteTx};
use haithe_kernel::{Decimals, OrgId, ProductId, ProjectId, StoreError, Timestamp};
use haithe_marketplace::ports::{ContentAcceptance, EnabledContent, Enabling, ProductAcceptance};

const ACCEPTED: &str = "
    SELECT org_products.max_price_units, products.price_units FROM org_products
    JOIN products ON products.id = org_products.product_id
    WHERE org_products.org_id = $1 AND org_products.product_id = $2 AND products.on_chain";
const OTHERS: &str =
    "SELECT count(*) AS others FROM project_products WHERE project_id = $1 AND product_id <> $2";
/// Enabling again keeps the accepted content, unless the project stops following updates.
const PUT: &str = "
    INSERT INTO project_products (project_id, product_id, enabled_at, content_uri, follow_updates)
    VALUES ($1, $2, $3, $4, coalesce($5, FALSE))
    ON CONFLICT (project_id, product_id) DO UPDATE SET
        content_uri = CASE WHEN project_products.follow_updates AND $5 = FALSE
                      THEN excluded.content_uri ELSE project_products.content_uri END,
        follow_updates = coalesce($5, project_products.follow_updates)";
const PUBLISHED: &str = "
    SELECT products.uri FROM project_products
    JOIN products ON products.id = project_products.product_id
    WHERE project_products.project_id = $1 AND project_products.product_id = $2 AND products.on_chain";
const ACCEPT: &str = "UPDATE project_products SET content_uri = $1 WHERE project_id = $2 AND product_id = $3";
const REMOVE: &str = "DELETE FROM project_products WHERE project_id = $1 AND product_id = $2";

/// What is enabled, for whom, and within which bounds.
pub(super) struct Enable {
    pub(super) org: OrgId,
    pub(super) project: ProjectId,
    pub(super) product: ProductId,
    pub(super) content: EnabledContent,
    /// Products of a project at most.
    pub(super) most: u32,
    pub(super) decimals: Decimals,
    pub(super) at: Timestamp,
}

pub(super) async fn enable(write: &mut WriteTx, new: &Enable) -> Result<Enabling, StoreError> {
    let accepted = sqlx::query(ACCEPTED).bind(new.org.0).bind(new.product.0);
    let Some(row) = write.optional(accepted).await? else {
        return Ok(Enabling::NotOnChain);
    };
    if acceptance(&row, new.decimals)? != ProductAcceptance::Accepted {
        return Ok(Enabling::TooExpensive);
    }
    let others = sqlx::query(OTHERS).bind(new.project.0).bind(new.product.0);
    let others: u32 = Columns::of(&write.one(others).await?).get("project_products.others")?;
    if others >= new.most {
        return Ok(Enabling::TooMany);
    }
    let put = sqlx::query(PUT)
        .bind(new.project.0)
        .bind(new.product.0)
        .bind(new.at.micros())
        .bind(new.content.uri.clone())
        .bind(new.content.follow_updates);
    write.execute(put).await?;
    write.directory_changed();
    Ok(Enabling::Enabled)
}

pub(super) async fn accept_content(
    write: &mut WriteTx,
    (project, product, uri): &(ProjectId, ProductId, String),
) -> Result<ContentAcceptance, StoreError> {
    let published = sqlx::query(PUBLISHED).bind(project.0).bind(product.0);
    let Some(row) = write.optional(published).await? else {
        return Ok(ContentAcceptance::NotEnabled);
    };
    let published: String = Columns::of(&row).get("products.uri")?;
    if published != *uri {
        return Ok(ContentAcceptance::Changed);
    }
    let accept = sqlx::query(ACCEPT)
        .bind(uri.clone())
        .bind(project.0)
        .bind(product.0);
    write.execute(accept).await?;
    Ok(ContentAcceptance::Accepted)
}

pub(super) async fn disable(
    write: &mut WriteTx,
    (project, product): &(ProjectId, ProductId),
) -> Result<bool, StoreError> {
    let removed = write
        .execute(sqlx::query(REMOVE).bind(project.0).bind(product.0))
        .await?;
    if removed > 0 {
        write.directory_changed();
    }
    Ok(removed > 0)
}
