//! [`AcceptedProjectStore`] on SQLite.

use super::{audit::Line, projects::read_price};
use crate::{
    columns::{self, Columns},
    db::{Db, WriteTx},
};
use async_trait::async_trait;
use haithe_kernel::{Listed, OrgId, Page, ProjectId, ProjectUid, StoreError, Usdt};
use haithe_orgs::{
    AcceptedProject,
    accepted::{MOST_ACCEPTED, ProjectOffer},
    audit::{Act, AuditAction},
    ports::{AcceptedProjectStore, Accepting},
};
use sqlx::sqlite::SqliteRow;

/// [`AcceptedProjectStore`] on SQLite.
#[derive(Clone)]
pub struct SqliteAcceptedProjectStore {
    db: Db,
}

impl SqliteAcceptedProjectStore {
    /// The accepted projects of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

/// The columns that [`read`] reads, with what follows the tables. A project that is deleted or not public
/// keeps its row without an offer.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT projects.project_uid, accepted_projects.max_price, accepted_projects.accepted_by,
                    accepted_projects.accepted_at,
                    projects.public AND NOT projects.deleted AND organizations.on_chain = 1
                        AND organizations.deleted_at IS NULL AS offered,
                    projects.name, projects.price_per_call, projects.next_price_per_call, projects.next_price_at
             FROM accepted_projects
             JOIN projects ON projects.id = accepted_projects.project_id
             JOIN organizations ON organizations.id = projects.org_id ",
            $rest
        )
    };
}

fn read(row: &SqliteRow) -> Result<AcceptedProject, StoreError> {
    let columns = Columns::of(row);
    let project = columns.get("projects.project_uid")?;
    let max_price_per_call = columns.get("accepted_projects.max_price")?;
    let accepted_by = columns.get("accepted_projects.accepted_by")?;
    let accepted_at = columns.get("accepted_projects.accepted_at")?;
    let offered: bool = columns.get_as("offered", "projects.public")?;
    let offer = ProjectOffer {
        name: columns.get("projects.name")?,
        price_per_call: read_price(&columns)?,
    };
    Ok(AcceptedProject {
        project,
        max_price_per_call,
        accepted_by,
        accepted_at,
        offer: offered.then_some(offer),
    })
}

async fn put(
    write: &mut WriteTx<'_>,
    org: OrgId,
    project: ProjectUid,
    maximum: Usdt,
    act: &Act,
) -> Result<Accepting, StoreError> {
    let find = "SELECT projects.id, projects.org_id = ?2 AS own, projects.public,
                       (SELECT max_price FROM accepted_projects
                        WHERE org_id = ?2 AND project_id = projects.id) AS max_price,
                       (SELECT count(*) FROM accepted_projects WHERE org_id = ?2) AS count
                FROM projects JOIN organizations ON organizations.id = projects.org_id
                WHERE projects.project_uid = ?1 AND projects.deleted = 0
                  AND organizations.on_chain = 1 AND organizations.deleted_at IS NULL";
    let statement = sqlx::query(find).bind(columns::uuid(project.uuid())).bind(org.0);
    let Some(row) = write.optional(statement).await? else {
        return Ok(Accepting::NotPublic);
    };
    let found = Columns::of(&row);
    let id: ProjectId = found.get("projects.id")?;
    let own: bool = found.get_as("own", "projects.org_id")?;
    let public: bool = found.get("projects.public")?;
    let before: Option<Usdt> = found.get("accepted_projects.max_price")?;
    let count: u64 = found.get_as("count", "accepted_projects.org_id")?;
    if own {
        return Ok(Accepting::Own);
    }
    if !public {
        return Ok(Accepting::NotPublic);
    }
    if before.is_none() && count >= MOST_ACCEPTED {
        return Ok(Accepting::Full);
    }
    let put = "INSERT INTO accepted_projects (org_id, project_id, max_price, accepted_by, accepted_at)
               VALUES (?, ?, ?, ?, ?)
               ON CONFLICT DO UPDATE SET max_price = excluded.max_price,
                   accepted_by = excluded.accepted_by, accepted_at = excluded.accepted_at";
    let statement = sqlx::query(put)
        .bind(org.0)
        .bind(id.0)
        .bind(maximum.nano())
        .bind(columns::address(act.by.address))
        .bind(act.at.micros());
    write.execute(statement).await?;
    write.directory_changed();
    if before != Some(maximum) {
        let text = |maximum: Usdt| format!("max_price_per_call_usdt={maximum}");
        let mut line = Line::of(org, AuditAction::ProjectAccepted)
            .subject(project)
            .after(text(maximum));
        if let Some(before) = before {
            line = line.before(text(before));
        }
        write.audit(act, line).await?;
    }
    let find = select!("WHERE accepted_projects.org_id = ? AND accepted_projects.project_id = ?");
    let row = write.optional(sqlx::query(find).bind(org.0).bind(id.0)).await?;
    let row = row.ok_or(StoreError::inconsistent("accepted_projects.project_id"))?;
    Ok(Accepting::Accepted(read(&row)?))
}

async fn remove(
    write: &mut WriteTx<'_>,
    org: OrgId,
    project: ProjectUid,
    act: &Act,
) -> Result<bool, StoreError> {
    let remove = "DELETE FROM accepted_projects
                  WHERE org_id = ? AND project_id = (SELECT id FROM projects WHERE project_uid = ?)
                  RETURNING max_price";
    let statement = sqlx::query(remove)
        .bind(org.0)
        .bind(columns::uuid(project.uuid()));
    let Some(row) = write.optional(statement).await? else {
        return Ok(false);
    };
    let before: Usdt = Columns::of(&row).get("accepted_projects.max_price")?;
    write.directory_changed();
    let line = Line::of(org, AuditAction::ProjectAcceptanceWithdrawn)
        .subject(project)
        .before(format!("max_price_per_call_usdt={before}"));
    write.audit(act, line).await?;
    Ok(true)
}

#[async_trait]
impl AcceptedProjectStore for SqliteAcceptedProjectStore {
    async fn put(
        &self,
        org: OrgId,
        project: ProjectUid,
        maximum: Usdt,
        act: Act,
    ) -> Result<Accepting, StoreError> {
        self.db
            .write(move |write| Box::pin(async move { put(write, org, project, maximum, &act).await }))
            .await
    }

    async fn of_org(&self, org: OrgId, page: Page) -> Result<Listed<AcceptedProject>, StoreError> {
        let count = "SELECT count(*) AS count FROM accepted_projects WHERE org_id = ?";
        let find = select!(
            "WHERE accepted_projects.org_id = ?
             ORDER BY accepted_projects.accepted_at DESC, accepted_projects.project_id DESC LIMIT ? OFFSET ?"
        );
        let find = sqlx::query(find)
            .bind(org.0)
            .bind(page.limit())
            .bind(page.offset());
        self.db.listed(sqlx::query(count).bind(org.0), find, read).await
    }

    async fn remove(&self, org: OrgId, project: ProjectUid, act: Act) -> Result<bool, StoreError> {
        self.db
            .write(move |write| Box::pin(async move { remove(write, org, project, &act).await }))
            .await
    }
}
