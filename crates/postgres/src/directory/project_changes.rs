//! What creates, changes and deletes projects.

use super::{
    audit::Line,
    projects::{project, project_columns, read_price},
};
use crate::{
    columns::{self, Columns},
    write::WriteTx,
};
use haithe_kernel::{OrgId, PriceSchedule, ProjectId, StoreError, Timestamp, Usdt, name_key};
use haithe_orgs::{
    OrgError,
    audit::{Act, AuditAction},
    model::{NewProject, PriceNotice, Project, ProjectChange},
};

const TAKEN: &str = "
    SELECT id FROM projects WHERE org_id = $1 AND name_key = $2 AND NOT deleted AND id <> $3 LIMIT 1";
const CREATE: &str = concat!(
    "INSERT INTO projects (project_uid, org_id, name, name_key, default_model_id, created_at)
     VALUES ($1, $2, $3, $4, $5, $6) RETURNING ",
    project_columns!()
);
const NAMED: &str = "SELECT org_id, name_key FROM projects WHERE id = $1 AND NOT deleted";
const PRICED: &str = "
    SELECT price_per_call, next_price_per_call, next_price_at, public,
           EXISTS (SELECT 1 FROM accepted_projects WHERE project_id = projects.id) AS accepted
    FROM projects WHERE id = $1 AND NOT deleted";
const CHANGE: &str = concat!(
    "UPDATE projects SET
         name = coalesce($1, name),
         name_key = coalesce($2, name_key),
         search_enabled = coalesce($3, search_enabled),
         memory_enabled = coalesce($4, memory_enabled),
         memory_window = coalesce($5, memory_window),
         memory_retention_days = CASE WHEN $6 THEN $7 ELSE memory_retention_days END,
         skip_unavailable_products = coalesce($8, skip_unavailable_products),
         default_model_id = coalesce($9, default_model_id),
         price_per_call = coalesce($10, price_per_call),
         next_price_per_call = CASE WHEN $11 THEN $12 ELSE next_price_per_call END,
         next_price_at = CASE WHEN $11 THEN $13 ELSE next_price_at END,
         public = coalesce($14, public)
     WHERE id = $15 AND NOT deleted RETURNING ",
    project_columns!()
);
const HIDE: &str = concat!(
    "UPDATE projects SET deleted = TRUE, teloxide_token = NULL, discord_token = NULL
     WHERE id = $1 AND NOT deleted RETURNING ",
    project_columns!()
);
const REMOVE_MEMBERS: &str = "DELETE FROM project_members WHERE project_id = $1";

/// Refuses a key that another project of the organization has.
async fn refuse_taken(
    write: &mut WriteTx,
    org: OrgId,
    own: Option<ProjectId>,
    key: &str,
) -> Result<(), OrgError> {
    let taken = sqlx::query(TAKEN)
        .bind(org.0)
        .bind(columns::text(key))
        .bind(own.map_or(0, |own| own.0));
    match write.optional(taken).await? {
        Some(_) => Err(OrgError::ProjectNameTaken),
        None => Ok(()),
    }
}

/// The key of a project's new name; `None` if its own name has that key already.
async fn new_key(write: &mut WriteTx, id: ProjectId, name: &str) -> Result<Option<String>, OrgError> {
    let Some(row) = write.optional(sqlx::query(NAMED).bind(id.0)).await? else {
        return Ok(None);
    };
    let columns = Columns::of(&row);
    let before: String = columns.get("projects.name_key")?;
    let key = columns::text(name_key(name));
    if before == key {
        return Ok(None);
    }
    refuse_taken(write, columns.get("projects.org_id")?, Some(id), &key).await?;
    Ok(Some(key))
}

pub(super) async fn create(write: &mut WriteTx, (new, act): &(NewProject, Act)) -> Result<Project, OrgError> {
    let key = columns::text(name_key(&new.name));
    refuse_taken(write, new.org, None, &key).await?;
    let create = sqlx::query(CREATE)
        .bind(columns::uuid(new.uid.uuid()))
        .bind(new.org.0)
        .bind(columns::text(new.name.as_str()))
        .bind(key)
        .bind(new.default_model.0)
        .bind(new.created_at.micros());
    let made = project(&write.one(create).await?)?;
    write.directory_changed();
    let line = Line::of(new.org, AuditAction::ProjectCreated).project(made.id);
    write.audit(act, line.after(&new.name)).await?;
    Ok(made)
}

/// What changes about which project.
pub(super) struct Change {
    pub(super) id: ProjectId,
    pub(super) change: ProjectChange,
    pub(super) notice: PriceNotice,
    pub(super) act: Act,
}

/// The price of a project after it is set, decided on what the transaction sees.
async fn priced(
    write: &mut WriteTx,
    change: &Change,
    price: Usdt,
    now: Timestamp,
) -> Result<Option<PriceSchedule>, StoreError> {
    let Some(row) = write.optional(sqlx::query(PRICED).bind(change.id.0)).await? else {
        return Ok(None);
    };
    let columns = Columns::of(&row);
    let current = read_price(&columns)?;
    let public = columns.get("projects.public")?;
    let accepted = columns.get("accepted_projects.accepted")?;
    Ok(Some(change.notice.set_price(
        current,
        (public, accepted),
        price,
        now,
    )))
}

pub(super) async fn change(write: &mut WriteTx, of: &Change) -> Result<Option<Project>, OrgError> {
    let Change { id, change, act, .. } = of;
    let mut text = change.to_string();
    let key = match &change.name {
        Some(name) => new_key(write, *id, name).await?,
        None => None,
    };
    let price = match change.price_per_call {
        Some(price) => priced(write, of, price, act.at).await?,
        None => None,
    };
    let (price, next) = price.map(|price| price.parts()).unzip();
    let next = next.flatten();
    if let Some(next) = next {
        text.push_str(&format!(" price_per_call_from={}", next.at));
    }
    let update = sqlx::query(CHANGE)
        .bind(change.name.clone().map(columns::text))
        .bind(key)
        .bind(change.search_enabled)
        .bind(change.memory_enabled)
        .bind(change.memory_window.map(i64::from))
        .bind(change.memory_retention_days.is_some())
        .bind(change.memory_retention_days.flatten().map(i64::from))
        .bind(change.skip_unavailable_products)
        .bind(change.default_model.map(|model| model.0))
        .bind(price.map(|price| price.nano()))
        .bind(price.is_some())
        .bind(next.map(|next| next.price.nano()))
        .bind(next.map(|next| next.at.micros()))
        .bind(change.public)
        .bind(id.0);
    let Some(row) = write.optional(update).await? else {
        return Ok(None);
    };
    write.directory_changed();
    let changed = project(&row)?;
    if !text.is_empty() {
        let line = Line::of(changed.org, AuditAction::ProjectChanged).project(*id);
        write.audit(act, line.after(text)).await?;
    }
    Ok(Some(changed))
}

pub(super) async fn delete(
    write: &mut WriteTx,
    (id, act): &(ProjectId, Act),
) -> Result<Option<Project>, StoreError> {
    let Some(row) = write.optional(sqlx::query(HIDE).bind(id.0)).await? else {
        return Ok(None);
    };
    write.execute(sqlx::query(REMOVE_MEMBERS).bind(id.0)).await?;
    write.directory_changed();
    let deleted = project(&row)?;
    let line = Line::of(deleted.org, AuditAction::ProjectDeleted).project(*id);
    write.audit(act, line.before(&deleted.name)).await?;
    Ok(Some(deleted))
}
