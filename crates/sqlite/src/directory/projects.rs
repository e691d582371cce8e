//! [`ProjectStore`] on SQLite.

use super::{audit::Line, organizations::needle, project_members};
use crate::{
    columns::{self, Columns},
    db::{Db, WriteTx},
};
use async_trait::async_trait;
use haithe_kernel::{
    AnnouncedPrice, Listed, OrgId, Page, PriceSchedule, ProjectId, ProjectUid, StoreError, Timestamp, Usdt,
    WalletAddress, name_key,
};
use haithe_orgs::{
    OrgError,
    audit::{Act, AuditAction},
    bots::BotTokens,
    members::Judge,
    model::{NewProject, PriceNotice, Project, ProjectChange, ProjectMember, ProjectRole, Search},
    ports::ProjectStore,
};
use sqlx::sqlite::SqliteRow;

/// [`ProjectStore`] on SQLite. A deleted project is a hidden row, which usage records still name.
#[derive(Clone)]
pub struct SqliteProjectStore {
    db: Db,
}

impl SqliteProjectStore {
    /// The projects of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

/// The columns that [`read`] reads, between two pieces of SQL.
macro_rules! with_columns {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " projects.id AS project_id, project_uid, org_id, projects.name AS project_name, search_enabled, memory_enabled, memory_window,
              memory_retention_days, skip_unavailable_products, default_model_id, price_per_call,
              next_price_per_call, next_price_at, public,
              teloxide_token IS NOT NULL AS has_telegram, discord_token IS NOT NULL AS has_discord,
              projects.created_at AS project_created_at ",
            $after
        )
    };
}

/// Reads a price and the one announced after it from `price_per_call`, `next_price_per_call` and `next_price_at`.
pub(super) fn read_price(columns: &Columns<'_>) -> Result<PriceSchedule, StoreError> {
    let current = columns.get("projects.price_per_call")?;
    let price: Option<Usdt> = columns.get("projects.next_price_per_call")?;
    let at: Option<Timestamp> = columns.get("projects.next_price_at")?;
    let next = price.zip(at).map(|(price, at)| AnnouncedPrice { price, at });
    Ok(PriceSchedule::scheduled(current, next))
}

/// Reads a project from the columns of `with_columns!`.
pub(super) fn read(columns: &Columns<'_>) -> Result<Project, StoreError> {
    Ok(Project {
        id: columns.get_as("project_id", "projects.id")?,
        uid: columns.get("projects.project_uid")?,
        org: columns.get("projects.org_id")?,
        name: columns.get_as("project_name", "projects.name")?,
        search_enabled: columns.get("projects.search_enabled")?,
        memory_enabled: columns.get("projects.memory_enabled")?,
        memory_window: columns.get("projects.memory_window")?,
        memory_retention_days: columns.get("projects.memory_retention_days")?,
        skip_unavailable_products: columns.get("projects.skip_unavailable_products")?,
        default_model: columns.get("projects.default_model_id")?,
        price_per_call: read_price(columns)?,
        public: columns.get("projects.public")?,
        bots: BotTokens {
            telegram: columns.get_as("has_telegram", "projects.teloxide_token")?,
            discord: columns.get_as("has_discord", "projects.discord_token")?,
        },
        created_at: columns.get_as("project_created_at", "projects.created_at")?,
    })
}

fn project(row: &SqliteRow) -> Result<Project, StoreError> {
    read(&Columns::of(row))
}

/// The key of a name that no other project of the organization has. The writer is alone: what it finds stays
/// true until it commits, and the unique index stands behind it.
async fn free_key(
    write: &mut WriteTx<'_>,
    org: OrgId,
    own: Option<ProjectId>,
    name: &str,
) -> Result<String, OrgError> {
    let (key, own) = (name_key(name), own.map_or(0, |own| own.0));
    let taken = sqlx::query(
        "SELECT 1 FROM projects WHERE org_id = ? AND name_key = ? AND deleted = 0 AND id <> ? LIMIT 1",
    );
    let taken = taken.bind(org.0).bind(key.clone()).bind(own);
    if write.optional(taken).await?.is_some() {
        return Err(OrgError::ProjectNameTaken);
    }
    Ok(key)
}

/// The key of a project's new name; `None` if that is its own name already.
async fn new_key(write: &mut WriteTx<'_>, id: ProjectId, name: &str) -> Result<Option<String>, OrgError> {
    let find = sqlx::query("SELECT org_id, name_key FROM projects WHERE id = ? AND deleted = 0").bind(id.0);
    let Some(row) = write.optional(find).await? else {
        return Ok(None);
    };
    let columns = Columns::of(&row);
    let org = columns.get("projects.org_id")?;
    let before: String = columns.get("projects.name_key")?;
    if before == name_key(name) {
        return Ok(None);
    }
    free_key(write, org, Some(id), name).await.map(Some)
}

async fn create(write: &mut WriteTx<'_>, new: NewProject, act: &Act) -> Result<Project, OrgError> {
    let key = free_key(write, new.org, None, &new.name).await?;
    let create = with_columns!(
        "INSERT INTO projects (project_uid, org_id, name, name_key, default_model_id, created_at)
         VALUES (?, ?, ?, ?, ?, ?) RETURNING",
        ""
    );
    let statement = sqlx::query(create)
        .bind(columns::uuid(new.uid.uuid()))
        .bind(new.org.0)
        .bind(new.name.clone())
        .bind(key)
        .bind(new.default_model.0)
        .bind(new.created_at.micros());
    let row = write.optional(statement).await?;
    let made = project(&row.ok_or_else(|| StoreError::inconsistent("projects.id"))?)?;
    write.directory_changed();
    let line = Line::of(new.org, AuditAction::ProjectCreated).project(made.id);
    write.audit(act, line.after(new.name)).await?;
    Ok(made)
}

/// The price of a project after it is set, decided on what the transaction sees.
async fn priced(
    write: &mut WriteTx<'_>,
    id: ProjectId,
    price: Usdt,
    notice: PriceNotice,
    now: Timestamp,
) -> Result<Option<PriceSchedule>, StoreError> {
    let find = "SELECT price_per_call, next_price_per_call, next_price_at, public,
                       EXISTS (SELECT 1 FROM accepted_projects WHERE project_id = projects.id) AS accepted
                FROM projects WHERE id = ? AND deleted = 0";
    let Some(row) = write.optional(sqlx::query(find).bind(id.0)).await? else {
        return Ok(None);
    };
    let columns = Columns::of(&row);
    let current = read_price(&columns)?;
    let public = columns.get("projects.public")?;
    let accepted = columns.get_as("accepted", "accepted_projects.project_id")?;
    Ok(Some(notice.set_price(current, (public, accepted), price, now)))
}

async fn change(
    write: &mut WriteTx<'_>,
    id: ProjectId,
    change: ProjectChange,
    notice: PriceNotice,
    act: &Act,
) -> Result<Option<Project>, OrgError> {
    let mut text = change.to_string();
    let key = match &change.name {
        Some(name) => new_key(write, id, name).await?,
        None => None,
    };
    let price = match change.price_per_call {
        Some(price) => priced(write, id, price, notice, act.at).await?,
        None => None,
    };
    let (price, next) = price.map(|price| price.parts()).unzip();
    let next = next.flatten();
    if let Some(next) = next {
        text.push_str(&format!(" price_per_call_from={}", next.at));
    }
    let update = with_columns!(
        "UPDATE projects SET
             name = coalesce(?, name),
             name_key = coalesce(?, name_key),
             search_enabled = coalesce(?, search_enabled),
             memory_enabled = coalesce(?, memory_enabled),
             memory_window = coalesce(?, memory_window),
             memory_retention_days = iif(?, ?, memory_retention_days),
             skip_unavailable_products = coalesce(?, skip_unavailable_products),
             default_model_id = coalesce(?, default_model_id),
             price_per_call = coalesce(?, price_per_call),
             next_price_per_call = iif(?, ?, next_price_per_call),
             next_price_at = iif(?, ?, next_price_at),
             public = coalesce(?, public)
         WHERE id = ? AND deleted = 0 RETURNING",
        ""
    );
    let statement = sqlx::query(update)
        .bind(change.name)
        .bind(key)
        .bind(change.search_enabled)
        .bind(change.memory_enabled)
        .bind(change.memory_window)
        .bind(change.memory_retention_days.is_some())
        .bind(change.memory_retention_days.flatten())
        .bind(change.skip_unavailable_products)
        .bind(change.default_model.map(|model| model.0))
        .bind(price.map(|price| price.nano()))
        .bind(price.is_some())
        .bind(next.map(|next| next.price.nano()))
        .bind(price.is_some())
        .bind(next.map(|next| next.at.micros()))
        .bind(change.public)
        .bind(id.0);
    let Some(row) = write.optional(statement).await? else {
        return Ok(None);
    };
    write.directory_changed();
    let changed = project(&row)?;
    if !text.is_empty() {
        let line = Line::of(changed.org, AuditAction::ProjectChanged).project(id);
        write.audit(act, line.after(text)).await?;
    }
    Ok(Some(changed))
}

async fn delete(write: &mut WriteTx<'_>, id: ProjectId, act: &Act) -> Result<Option<Project>, StoreError> {
    let hide = with_columns!(
        "UPDATE projects SET deleted = 1, teloxide_token = NULL, discord_token = NULL WHERE id = ? AND deleted = 0 RETURNING",
        ""
    );
    let Some(row) = write.optional(sqlx::query(hide).bind(id.0)).await? else {
        return Ok(None);
    };
    write
        .execute(sqlx::query("DELETE FROM project_members WHERE project_id = ?").bind(id.0))
        .await?;
    write.directory_changed();
    let deleted = project(&row)?;
    let line = Line::of(deleted.org, AuditAction::ProjectDeleted).project(id);
    write.audit(act, line.before(&deleted.name)).await?;
    Ok(Some(deleted))
}

/// One page of the projects behind a `FROM` with two parameters, whose name fits.
macro_rules! list {
    ($db:expr, $rest:literal, $of:expr, $name:expr, $page:expr) => {{
        let name = needle($name);
        let count = concat!(
            "SELECT count(*) AS count ",
            $rest,
            " AND projects.deleted = 0 AND on_chain = 1 AND deleted_at IS NULL
              AND (?2 IS NULL OR instr(lower(projects.name), ?2) > 0)"
        );
        let find = concat!(
            with_columns!("SELECT", ""),
            $rest,
            " AND projects.deleted = 0 AND on_chain = 1 AND deleted_at IS NULL
              AND (?2 IS NULL OR instr(lower(projects.name), ?2) > 0)
              ORDER BY projects.id DESC LIMIT ?3 OFFSET ?4"
        );
        let count = sqlx::query(count).bind($of).bind(name.clone());
        let find = sqlx::query(find).bind($of).bind(name);
        let find = find.bind($page.limit()).bind($page.offset());
        $db.listed(count, find, project).await
    }};
}

#[async_trait]
impl ProjectStore for SqliteProjectStore {
    async fn create(&self, new: NewProject, act: Act) -> Result<Project, OrgError> {
        self.db
            .write(move |write| Box::pin(async move { create(write, new, &act).await }))
            .await
    }

    async fn find(&self, id: ProjectId) -> Result<Option<Project>, StoreError> {
        let find = with_columns!(
            "SELECT",
            "FROM projects JOIN organizations ON organizations.id = org_id
             WHERE projects.id = ? AND deleted = 0 AND on_chain = 1 AND deleted_at IS NULL"
        );
        self.db
            .optional(sqlx::query(find).bind(id.0))
            .await?
            .as_ref()
            .map(project)
            .transpose()
    }

    async fn find_by_uid(&self, uid: ProjectUid) -> Result<Option<Project>, StoreError> {
        let find = with_columns!(
            "SELECT",
            "FROM projects JOIN organizations ON organizations.id = org_id
             WHERE project_uid = ? AND deleted = 0 AND on_chain = 1 AND deleted_at IS NULL"
        );
        let row = self
            .db
            .optional(sqlx::query(find).bind(columns::uuid(uid.uuid())))
            .await?;
        row.as_ref().map(project).transpose()
    }

    async fn of_org(
        &self,
        org: OrgId,
        name: Option<Search>,
        page: Page,
    ) -> Result<Listed<Project>, StoreError> {
        list!(
            self.db,
            "FROM projects JOIN organizations ON organizations.id = org_id WHERE org_id = ?1",
            org.0,
            name,
            page
        )
    }

    async fn of_wallet(
        &self,
        address: WalletAddress,
        name: Option<Search>,
        page: Page,
    ) -> Result<Listed<Project>, StoreError> {
        list!(
            self.db,
            "FROM project_members JOIN projects ON projects.id = project_id
             JOIN organizations ON organizations.id = org_id WHERE wallet_address = ?1",
            columns::address(address),
            name,
            page
        )
    }

    async fn change(
        &self,
        id: ProjectId,
        changes: ProjectChange,
        notice: PriceNotice,
        act: Act,
    ) -> Result<Option<Project>, OrgError> {
        self.db
            .write(move |write| Box::pin(async move { change(write, id, changes, notice, &act).await }))
            .await
    }

    async fn delete(&self, id: ProjectId, act: Act) -> Result<Option<Project>, StoreError> {
        self.db
            .write(move |write| Box::pin(async move { delete(write, id, &act).await }))
            .await
    }

    async fn members(
        &self,
        project: ProjectId,
        role: Option<ProjectRole>,
        page: Page,
    ) -> Result<Listed<ProjectMember>, StoreError> {
        project_members::list(&self.db, project, role, page).await
    }

    async fn put_member(
        &self,
        project: ProjectId,
        address: WalletAddress,
        role: ProjectRole,
        judge: Judge<ProjectRole>,
        act: Act,
    ) -> Result<ProjectMember, OrgError> {
        self.db
            .write(move |write| {
                Box::pin(
                    async move { project_members::put(write, project, address, role, judge, &act).await },
                )
            })
            .await
    }

    async fn remove_member(
        &self,
        project: ProjectId,
        address: WalletAddress,
        judge: Judge<ProjectRole>,
        act: Act,
    ) -> Result<Option<ProjectMember>, OrgError> {
        self.db
            .write(move |write| {
                Box::pin(async move { project_members::remove(write, project, address, judge, &act).await })
            })
            .await
    }
}
