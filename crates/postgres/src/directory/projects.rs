//! [`ProjectStore`] on PostgreSQL.

use super::{
    organizations::needle,
    project_changes::{self, Change},
    project_members::{self, MemberEdit},
};
use crate::{
    columns::{self, Columns},
    db::{Db, Statement},
};
use async_trait::async_trait;
use haithe_kernel::{
    AnnouncedPrice, Listed, OrgId, Page, PriceSchedule, ProjectId, ProjectUid, StoreError, Timestamp, Usdt,
    WalletAddress,
};
use haithe_orgs::{
    OrgError,
    audit::Act,
    bots::BotTokens,
    members::Judge,
    model::{NewProject, PriceNotice, Project, ProjectChange, ProjectMember, ProjectRole, Search},
    ports::ProjectStore,
};
use sqlx::postgres::PgRow;

/// [`ProjectStore`] on PostgreSQL. A deleted project is a hidden row, which usage records still name.
#[derive(Clone)]
pub struct PgProjectStore {
    db: Db,
}

impl PgProjectStore {
    /// The projects of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

/// The columns that [`read`] reads.
macro_rules! project_columns {
    () => {
        "projects.id AS project_id, projects.project_uid, projects.org_id AS project_org,
         projects.name AS project_name, projects.search_enabled, projects.memory_enabled, projects.memory_window,
         projects.memory_retention_days, projects.skip_unavailable_products, projects.default_model_id,
         projects.price_per_call, projects.next_price_per_call, projects.next_price_at, projects.public,
         projects.teloxide_token IS NOT NULL AS has_telegram, projects.discord_token IS NOT NULL AS has_discord,
         projects.created_at AS project_created_at "
    };
}
pub(super) use project_columns;

/// Projects of organizations that exist, with a condition.
macro_rules! existing {
    ($before:expr, $rest:literal) => {
        concat!(
            $before,
            "FROM projects JOIN organizations ON organizations.id = projects.org_id
             WHERE NOT projects.deleted AND organizations.on_chain AND organizations.deleted_at IS NULL AND ",
            $rest
        )
    };
}

const FIND: &str = existing!(concat!("SELECT ", project_columns!()), "projects.id = $1");
const FIND_BY_UID: &str = existing!(
    concat!("SELECT ", project_columns!()),
    "projects.project_uid = $1"
);
const COUNT_OF_ORG: &str = existing!(
    "SELECT count(*) ",
    "projects.org_id = $1 AND ($2 IS NULL OR strpos(lower(projects.name), $2) > 0)"
);
const OF_ORG: &str = existing!(
    concat!("SELECT ", project_columns!()),
    "projects.org_id = $1 AND ($2 IS NULL OR strpos(lower(projects.name), $2) > 0)
     ORDER BY projects.id DESC LIMIT $3 OFFSET $4"
);
const COUNT_OF_WALLET: &str = existing!(
    "SELECT count(*) ",
    "projects.id IN (SELECT project_id FROM project_members WHERE wallet_address = $1)
     AND ($2 IS NULL OR strpos(lower(projects.name), $2) > 0)"
);
const OF_WALLET: &str = existing!(
    concat!("SELECT ", project_columns!()),
    "projects.id IN (SELECT project_id FROM project_members WHERE wallet_address = $1)
     AND ($2 IS NULL OR strpos(lower(projects.name), $2) > 0)
     ORDER BY projects.id DESC LIMIT $3 OFFSET $4"
);

/// Reads a price and the one announced after it.
pub(super) fn read_price(columns: &Columns<'_>) -> Result<PriceSchedule, StoreError> {
    let current = columns.get("projects.price_per_call")?;
    let price: Option<Usdt> = columns.get("projects.next_price_per_call")?;
    let at: Option<Timestamp> = columns.get("projects.next_price_at")?;
    let next = price.zip(at).map(|(price, at)| AnnouncedPrice { price, at });
    Ok(PriceSchedule::scheduled(current, next))
}

/// Reads a project.
pub(super) fn read(columns: &Columns<'_>) -> Result<Project, StoreError> {
    Ok(Project {
        id: columns.get("projects.project_id")?,
        uid: columns.get("projects.project_uid")?,
        org: columns.get("projects.project_org")?,
        name: columns.get("projects.project_name")?,
        search_enabled: columns.get("projects.search_enabled")?,
        memory_enabled: columns.get("projects.memory_enabled")?,
        memory_window: columns.get("projects.memory_window")?,
        memory_retention_days: columns.get("projects.memory_retention_days")?,
        skip_unavailable_products: columns.get("projects.skip_unavailable_products")?,
        default_model: columns.get("projects.default_model_id")?,
        price_per_call: read_price(columns)?,
        public: columns.get("projects.public")?,
        bots: BotTokens {
            telegram: columns.get("projects.has_telegram")?,
            discord: columns.get("projects.has_discord")?,
        },
        created_at: columns.get("projects.project_created_at")?,
    })
}

pub(super) fn project(row: &PgRow) -> Result<Project, StoreError> {
    read(&Columns::of(row))
}

impl PgProjectStore {
    async fn found(&self, statement: Statement) -> Result<Option<Project>, StoreError> {
        let row = self.db.optional(statement).await?;
        row.as_ref().map(project).transpose()
    }
}

#[async_trait]
impl ProjectStore for PgProjectStore {
    async fn create(&self, new: NewProject, act: Act) -> Result<Project, OrgError> {
        self.db
            .write((new, act), |write, new| {
                Box::pin(project_changes::create(write, new))
            })
            .await
    }

    async fn find(&self, id: ProjectId) -> Result<Option<Project>, StoreError> {
        self.found(sqlx::query(FIND).bind(id.0)).await
    }

    async fn find_by_uid(&self, uid: ProjectUid) -> Result<Option<Project>, StoreError> {
        let find = sqlx::query(FIND_BY_UID).bind(columns::uuid(uid.uuid()));
        self.found(find).await
    }

    async fn of_org(
        &self,
        org: OrgId,
        name: Option<Search>,
        page: Page,
    ) -> Result<Listed<Project>, StoreError> {
        let bound = |sql| sqlx::query(sql).bind(org.0).bind(needle(name.as_ref()));
        self.db
            .listed(bound(COUNT_OF_ORG), (bound(OF_ORG), page), project)
            .await
    }

    async fn of_wallet(
        &self,
        address: WalletAddress,
        name: Option<Search>,
        page: Page,
    ) -> Result<Listed<Project>, StoreError> {
        let bound = |sql| {
            sqlx::query(sql)
                .bind(columns::address(address))
                .bind(needle(name.as_ref()))
        };
        self.db
            .listed(bound(COUNT_OF_WALLET), (bound(OF_WALLET), page), project)
            .await
    }

    async fn change(
        &self,
        id: ProjectId,
        change: ProjectChange,
        notice: PriceNotice,
        act: Act,
    ) -> Result<Option<Project>, OrgError> {
        let change = Change {
            id,
            change,
            notice,
            act,
        };
        self.db
            .write(change, |write, change| {
                Box::pin(project_changes::change(write, change))
            })
            .await
    }

    async fn delete(&self, id: ProjectId, act: Act) -> Result<Option<Project>, StoreError> {
        self.db
            .write((id, act), |write, of| {
                Box::pin(project_changes::delete(write, of))
            })
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
        let edit = MemberEdit {
            project,
            address,
            judge,
            act,
        };
        self.db
            .write((edit, role), |write, edit| {
                Box::pin(project_members::put(write, edit))
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
        let edit = MemberEdit {
            project,
            address,
            judge,
            act,
        };
        self.db
            .write(edit, |write, edit| Box::pin(project_members::remove(write, edit)))
            .await
    }
}
