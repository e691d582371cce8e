//! [`AcceptedProjectStore`] on PostgreSQL.

use super::{audit::Line, projects::read_price};
use crate::{
    columns::{self, Columns},
    db::Db,
    write::WriteTx,
};
use async_trait::async_trait;
use haithe_kernel::{Listed, OrgId, Page, ProjectId, ProjectUid, StoreError, Usdt};
use haithe_orgs::{
    AcceptedProject,
    accepted::{MOST_ACCEPTED, ProjectOffer},
    audit::{Act, AuditAction},
    ports::{AcceptedProjectStore, Accepting},
};
use sqlx::postgres::PgRow;

/// [`AcceptedProjectStore`] on PostgreSQL.
#[derive(Clone)]
pub struct PgAcceptedProjectStore {
    db: Db,
}

impl PgAcceptedProjectStore {
    /// The accepted projects of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

/// The columns that [`read`] reads, with what follows the tables. A project that is deleted or not public keeps its
/// row without an offer.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT projects.project_uid, accepted_projects.max_price, accepted_projects.accepted_by,
                    accepted_projects.accepted_at,
                    projects.public AND NOT projects.deleted AND organizations.on_chain
                        AND organizations.deleted_at IS NULL AS offered,
                    projects.name, projects.price_per_call, projects.next_price_per_call, projects.next_price_at
             FROM accepted_projects
             JOIN projects ON projects.id = accepted_projects.project_id
             JOIN organizations ON organizations.id = projects.org_id ",
            $rest
        )
    };
}

const COUNT: &str = "SELECT count(*) FROM accepted_projects WHERE org_id = $1";
const LIST: &str = select!(
    "WHERE accepted_projects.org_id = $1
     ORDER BY accepted_projects.accepted_at DESC, accepted_projects.project_id DESC LIMIT $2 OFFSET $3"
);
const ONE: &str = select!("WHERE accepted_projects.org_id = $1 AND accepted_projects.project_id = $2");
const OFFERED: &str = "
    SELECT projects.id, projects.org_id = $2 AS own, projects.public,
           (SELECT max_price FROM accepted_projects WHERE org_id = $2 AND project_id = projects.id) AS max_price,
           (SELECT count(*) FROM accepted_projects WHERE org_id = $2) AS accepted
    FROM projects JOIN organizations ON organizations.id = projects.org_id
    WHERE projects.project_uid = $1 AND NOT projects.deleted
      AND organizations.on_chain AND organizations.deleted_at IS NULL";
const PUT: &str = "
    INSERT INTO accepted_projects (org_id, project_id, max_price, accepted_by, accepted_at)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (org_id, project_id) DO UPDATE SET max_price = excluded.max_price,
        accepted_by = excluded.accepted_by, accepted_at = excluded.accepted_at";
const REMOVE: &str = "
    DELETE FROM accepted_projects
    WHERE org_id = $1 AND project_id = (SELECT id FROM projects WHERE project_uid = $2)
    RETURNING max_price";

fn read(row: &PgRow) -> Result<AcceptedProject, StoreError> {
    let columns = Columns::of(row);
    let offered: bool = columns.get("projects.offered")?;
    let offer = ProjectOffer {
        name: columns.get("projects.name")?,
        price_per_call: read_price(&columns)?,
    };
    Ok(AcceptedProject {
        project: columns.get("projects.project_uid")?,
        max_price_per_call: columns.get("accepted_projects.max_price")?,
        accepted_by: columns.get("accepted_projects.accepted_by")?,
        accepted_at: columns.get("accepted_projects.accepted_at")?,
        offer: offered.then_some(offer),
    })
}

fn in_words(maximum: Usdt) -> String {
    format!("max_price_per_call_usdt={maximum}")
}

async fn put(
    write: &mut WriteTx,
    (org, uid, maximum, act): &(OrgId, ProjectUid, Usdt, Act),
) -> Result<Accepting, StoreError> {
    let offered = sqlx::query(OFFERED).bind(columns::uuid(uid.uuid())).bind(org.0);
    let Some(row) = write.optional(offered).await? else {
        return Ok(Accepting::NotPublic);
    };
    let found = Columns::of(&row);
    let id: ProjectId = found.get("projects.id")?;
    let public: bool = found.get("projects.public")?;
    let before: Option<Usdt> = found.get("accepted_projects.max_price")?;
    let accepted: u64 = found.get("accepted_projects.accepted")?;
    if found.get("projects.own")? {
        return Ok(Accepting::Own);
    }
    if !public {
        return Ok(Accepting::NotPublic);
    }
    if before.is_none() && accepted >= MOST_ACCEPTED {
        return Ok(Accepting::Full);
    }
    let put = sqlx::query(PUT)
        .bind(org.0)
        .bind(id.0)
        .bind(maximum.nano())
        .bind(columns::address(act.by.address))
        .bind(act.at.micros());
    write.execute(put).await?;
    write.directory_changed();
    if before != Some(*maximum) {
        let mut line = Line::of(*org, AuditAction::ProjectAccepted)
            .subject(uid)
            .after(in_words(*maximum));
        if let Some(before) = before {
            line = line.before(in_words(before));
        }
        write.audit(act, line).await?;
    }
    let row = write.one(sqlx::query(ONE).bind(org.0).bind(id.0)).await?;
    Ok(Accepting::Accepted(read(&row)?))
}

async fn remove(write: &mut WriteTx, (org, uid, act): &(OrgId, ProjectUid, Act)) -> Result<bool, StoreError> {
    let remove = sqlx::query(REMOVE).bind(org.0).bind(columns::uuid(uid.uuid()));
    let Some(row) = write.optional(remove).await? else {
        return Ok(false);
    };
    let before: Usdt = Columns::of(&row).get("accepted_projects.max_price")?;
    write.directory_changed();
    let line = Line::of(*org, AuditAction::ProjectAcceptanceWithdrawn)
        .subject(uid)
        .before(in_words(before));
    write.audit(act, line).await?;
    Ok(true)
}

#[async_trait]
impl AcceptedProjectStore for PgAcceptedProjectStore {
    async fn put(
        &self,
        org: OrgId,
        project: ProjectUid,
        maximum: Usdt,
        act: Act,
    ) -> Result<Accepting, StoreError> {
        self.db
            .write((org, project, maximum, act), |write, new| {
                Box::pin(put(write, new))
            })
            .await
    }

    async fn of_org(&self, org: OrgId, page: Page) -> Result<Listed<AcceptedProject>, StoreError> {
        let bound = |sql| sqlx::query(sql).bind(org.0);
        self.db.listed(bound(COUNT), (bound(LIST), page), read).await
    }

    async fn remove(&self, org: OrgId, project: ProjectUid, act: Act) -> Result<bool, StoreError> {
        self.db
            .write((org, project, act), |write, of| Box::pin(remove(write, of)))
            .await
    }
}
