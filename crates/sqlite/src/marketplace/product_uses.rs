//! Which products a project uses, and what the audit says of it.

use super::products::acceptance;
use crate::{columns::Columns, db::WriteTx, directory::audit::Line, ledger::scale::Scale};
use haithe_kernel::{OrgId, ProductId, ProjectId, StoreError};
use haithe_marketplace::{
    ProductUse,
    ports::{ContentAcceptance, EnabledContent, Enabling, ProductAcceptance},
};
use haithe_orgs::audit::{Act, AuditAction};

/// Makes the product one of the project's, if the contract accepts it.
pub(super) async fn enable(
    write: &mut WriteTx<'_>,
    (org, project, id): (OrgId, ProjectId, ProductId),
    content: EnabledContent,
    (most, scale): (u32, Scale),
    act: &Act,
) -> Result<Enabling, StoreError> {
    let accepted = "SELECT org_products.max_price_units, products.price_units FROM org_products
                    JOIN products ON products.id = org_products.product_id
                    WHERE org_products.org_id = ? AND org_products.product_id = ? AND products.on_chain = 1";
    let row = write
        .optional(sqlx::query(accepted).bind(org.0).bind(id.0))
        .await?;
    let Some(row) = row else {
        return Ok(Enabling::NotOnChain);
    };
    if acceptance(&Columns::of(&row), scale)? != ProductAcceptance::Accepted {
        return Ok(Enabling::TooExpensive);
    }
    let others = "SELECT count(*) AS count FROM project_products WHERE project_id = ? AND product_id <> ?";
    let row = write
        .optional(sqlx::query(others).bind(project.0).bind(id.0))
        .await?;
    let others: u32 = row.map_or(Ok(0), |row| {
        Columns::of(&row).get_as("count", "project_products.product_id")
    })?;
    if others >= most {
        return Ok(Enabling::TooMany);
    }
    let before = usage(write, project, id).await?;
    let put = "INSERT INTO project_products (project_id, product_id, enabled_at, content_uri, follow_updates)
               VALUES (?1, ?2, ?3, ?4, coalesce(?5, 0))
               ON CONFLICT DO UPDATE SET
                   content_uri = iif(follow_updates AND ?5 = 0, excluded.content_uri, content_uri),
                   follow_updates = coalesce(?5, follow_updates)";
    let statement = sqlx::query(put)
        .bind(project.0)
        .bind(id.0)
        .bind(act.at.micros())
        .bind(content.uri)
        .bind(content.follow_updates);
    write.execute(statement).await?;
    write.directory_changed();
    let after = usage(write, project, id).await?;
    if before != after {
        let line = Line::of(org, AuditAction::ProductEnabled)
            .project(project)
            .subject(id);
        let line = Line {
            before,
            after,
            ..line
        };
        write.audit(act, line).await?;
    }
    Ok(Enabling::Enabled)
}

/// How the project uses the product; `None` when it does not.
async fn usage(
    write: &mut WriteTx<'_>,
    project: ProjectId,
    id: ProductId,
) -> Result<Option<String>, StoreError> {
    let find = "SELECT products.price_per_call, project_products.follow_updates, project_products.content_uri
                FROM project_products JOIN products ON products.id = project_products.product_id
                WHERE project_products.project_id = ? AND project_products.product_id = ?";
    let found = sqlx::query(find).bind(project.0).bind(id.0);
    let Some(row) = write.optional(found).await? else {
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

/// Makes the project use the content at `uri`, if that is published.
pub(super) async fn accept_content(
    write: &mut WriteTx<'_>,
    (org, project): (OrgId, ProjectId),
    id: ProductId,
    uri: String,
    act: &Act,
) -> Result<ContentAcceptance, StoreError> {
    let find = "SELECT products.uri, project_products.content_uri FROM project_products
                JOIN products ON products.id = project_products.product_id
                WHERE project_products.project_id = ? AND project_products.product_id = ?
                  AND products.on_chain = 1";
    let found = sqlx::query(find).bind(project.0).bind(id.0);
    let Some(row) = write.optional(found).await? else {
        return Ok(ContentAcceptance::NotEnabled);
    };
    let columns = Columns::of(&row);
    let published: String = columns.get("products.uri")?;
    let before: String = columns.get("project_products.content_uri")?;
    if published != uri {
        return Ok(ContentAcceptance::Changed);
    }
    if before == uri {
        return Ok(ContentAcceptance::Accepted);
    }
    let line = Line::of(org, AuditAction::ProductContentAccepted)
        .project(project)
        .subject(id)
        .before(before)
        .after(&uri);
    write.audit(act, line).await?;
    let update = "UPDATE project_products SET content_uri = ? WHERE project_id = ? AND product_id = ?";
    let statement = sqlx::query(update).bind(uri).bind(project.0).bind(id.0);
    write.execute(statement).await?;
    Ok(ContentAcceptance::Accepted)
}

/// Takes the product away from the project; says whether it was there.
pub(super) async fn disable(
    write: &mut WriteTx<'_>,
    (org, project): (OrgId, ProjectId),
    id: ProductId,
    act: &Act,
) -> Result<bool, StoreError> {
    let Some(before) = usage(write, project, id).await? else {
        return Ok(false);
    };
    let remove = "DELETE FROM project_products WHERE project_id = ? AND product_id = ?";
    let statement = sqlx::query(remove).bind(project.0).bind(id.0);
    write.execute(statement).await?;
    write.directory_changed();
    let line = Line::of(org, AuditAction::ProductDisabled)
        .project(project)
        .subject(id)
        .before(before);
    write.audit(act, line).await?;
    Ok(true)
}
