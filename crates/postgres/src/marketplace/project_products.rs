//! Which projects use which products, and the content that they accepted.

use super::product_rows::acceptance;
use crate::{columns::Columns, directory::audit::Line, write::WriteTx};
use haithe_kernel::{Decimals, OrgId, ProductId, ProjectId, StoreError};
use haithe_marketplace::{
    ProductUse,
    ports::{ContentAcceptance, EnabledContent, Enabling, ProductAcceptance},
};
use haithe_orgs::audit::{Act, AuditAction};

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
    SELECT products.uri, project_products.content_uri FROM project_products
    JOIN products ON products.id = project_products.product_id
    WHERE project_products.project_id = $1 AND project_products.product_id = $2 AND products.on_chain";
const ACCEPT: &str = "UPDATE project_products SET content_uri = $1 WHERE project_id = $2 AND product_id = $3";
const USED: &str = "
    SELECT products.price_per_call, project_products.follow_updates, project_products.content_uri
    FROM project_products JOIN products ON products.id = project_products.product_id
    WHERE project_products.project_id = $1 AND project_products.product_id = $2";
const REMOVE: &str = "DELETE FROM project_products WHERE project_id = $1 AND product_id = $2";

/// Whose use of which product changes, and by whom.
pub(super) struct Use {
    pub(super) org: OrgId,
    pub(super) project: ProjectId,
    pub(super) product: ProductId,
    pub(super) act: Act,
}

impl Use {
    fn line(&self, action: AuditAction) -> Line {
        Line::of(self.org, action)
            .project(self.project)
            .subject(self.product)
    }

    /// How the project uses the product; `None` when it does not.
    async fn now(&self, write: &mut WriteTx) -> Result<Option<String>, StoreError> {
        let used = sqlx::query(USED).bind(self.project.0).bind(self.product.0);
        let Some(row) = write.optional(used).await? else {
            return Ok(None);
        };
        let columns = Columns::of(&row);
        let used = ProductUse {
            price_per_call: columns.get("products.price_per_call")?,
            follow_updates: columns.get("project_products.follow_updates")?,
            content: columns.get("project_products.content_uri")?,
        };
        Ok(Some(used.to_string()))
    }
}

/// What is enabled, and within which bounds.
pub(super) struct Enable {
    pub(super) of: Use,
    pub(super) content: EnabledContent,
    /// Products of a project at most.
    pub(super) most: u32,
    pub(super) decimals: Decimals,
}

pub(super) async fn enable(write: &mut WriteTx, new: &Enable) -> Result<Enabling, StoreError> {
    let (org, project, product) = (new.of.org.0, new.of.project.0, new.of.product.0);
    let accepted = sqlx::query(ACCEPTED).bind(org).bind(product);
    let Some(row) = write.optional(accepted).await? else {
        return Ok(Enabling::NotOnChain);
    };
    if acceptance(&row, new.decimals)? != ProductAcceptance::Accepted {
        return Ok(Enabling::TooExpensive);
    }
    let others = sqlx::query(OTHERS).bind(project).bind(product);
    let others: u32 = Columns::of(&write.one(others).await?).get("project_products.others")?;
    if others >= new.most {
        return Ok(Enabling::TooMany);
    }
    let before = new.of.now(write).await?;
    let put = sqlx::query(PUT)
        .bind(project)
        .bind(product)
        .bind(new.of.act.at.micros())
        .bind(new.content.uri.clone())
        .bind(new.content.follow_updates);
    write.execute(put).await?;
    write.directory_changed();
    let after = new.of.now(write).await?;
    if before != after {
        let line = new.of.line(AuditAction::ProductEnabled).changed(before, after);
        write.audit(&new.of.act, line).await?;
    }
    Ok(Enabling::Enabled)
}

pub(super) async fn accept_content(
    write: &mut WriteTx,
    (used, uri): &(Use, String),
) -> Result<ContentAcceptance, StoreError> {
    let (project, product) = (used.project.0, used.product.0);
    let published = sqlx::query(PUBLISHED).bind(project).bind(product);
    let Some(row) = write.optional(published).await? else {
        return Ok(ContentAcceptance::NotEnabled);
    };
    let columns = Columns::of(&row);
    let published: String = columns.get("products.uri")?;
    let before: String = columns.get("project_products.content_uri")?;
    if published != *uri {
        return Ok(ContentAcceptance::Changed);
    }
    if before == *uri {
        return Ok(ContentAcceptance::Accepted);
    }
    let line = used.line(AuditAction::ProductContentAccepted);
    write.audit(&used.act, line.before(before).after(uri)).await?;
    let accept = sqlx::query(ACCEPT).bind(uri.clone()).bind(project).bind(product);
    write.execute(accept).await?;
    Ok(ContentAcceptance::Accepted)
}

pub(super) async fn disable(write: &mut WriteTx, used: &Use) -> Result<bool, StoreError> {
    let Some(before) = used.now(write).await? else {
        return Ok(false);
    };
    let remove = sqlx::query(REMOVE).bind(used.project.0).bind(used.product.0);
    write.execute(remove).await?;
    write.directory_changed();
    let line = used.line(AuditAction::ProductDisabled).before(before);
    write.audit(&used.act, line).await?;
    Ok(true)
}
