//! [`OrgStore`] on PostgreSQL.

use super::audit::Line;
use crate::{
    columns::{self, Columns},
    db::{Db, Statement},
    write::WriteTx,
};
use async_trait::async_trait;
use haithe_kernel::{Listed, OrgId, Page, StoreError, WalletAddress};
use haithe_orgs::{
    audit::{Act, AuditAction},
    model::{Organization, Search},
    ports::OrgStore,
};
use sqlx::postgres::PgRow;

/// [`OrgStore`] on PostgreSQL. Only the index makes organizations.
#[derive(Clone)]
pub struct PgOrgStore {
    db: Db,
}

impl PgOrgStore {
    /// The organizations of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

/// The columns that [`read`] reads, of the table with this name.
macro_rules! org_columns {
    ($table:literal) => {
        concat!(
            $table,
            ".id AS organization_id, ",
            $table,
            ".organization_uid, ",
            $table,
            ".address AS organization_address, ",
            $table,
            ".orchestrator_index, ",
            $table,
            ".name AS organization_name, ",
            $table,
            ".owner AS organization_owner, ",
            $table,
            ".created_at AS organization_created_at, ",
            $table,
            ".deleted_at, coalesce(",
            $table,
            ".created_block <= (SELECT confirmed FROM chain_binding), TRUE) AS confirmed "
        )
    };
}
pub(super) use org_columns;

/// A query of organizations that exist, with a condition.
macro_rules! select_orgs {
    ($rest:literal) => {
        concat!(
            "SELECT ",
            org_columns!("organizations"),
            "FROM organizations WHERE on_chain AND deleted_at IS NULL AND ",
            $rest
        )
    };
}

/// What the wallet has a role in, and whose name fits.
macro_rules! of_wallet {
    ($before:expr, $after:literal) => {
        concat!(
            $before,
            "FROM organizations
             WHERE id IN (
                 SELECT id FROM organizations WHERE owner = $1
                 UNION SELECT org_id FROM org_members WHERE wallet_address = $1
                 UNION SELECT projects.org_id FROM project_members
                       JOIN projects ON projects.id = project_members.project_id AND NOT projects.deleted
                       WHERE project_members.wallet_address = $1
             )
             AND on_chain AND deleted_at IS NULL AND ($2 IS NULL OR strpos(lower(name), $2) > 0) ",
            $after
        )
    };
}

const FIND: &str = select_orgs!("id = $1");
const FIND_BY_ADDRESS: &str = select_orgs!("address = $1");
const NEWEST_OWNED: &str = select_orgs!("owner = $1 ORDER BY id DESC LIMIT 1");
const COUNT_OF_WALLET: &str = of_wallet!("SELECT count(*) ", "");
const OF_WALLET: &str = of_wallet!(
    concat!("SELECT ", org_columns!("organizations")),
    "ORDER BY id DESC LIMIT $3 OFFSET $4"
);
const COUNT: &str = "SELECT count(*) FROM organizations WHERE on_chain";
const PENDING_OWNER: &str =
    "SELECT pending_owner FROM organizations WHERE id = $1 AND on_chain AND deleted_at IS NULL";
const RENAME: &str = concat!(
    "UPDATE organizations SET name = $1 WHERE id = $2 RETURNING ",
    org_columns!("organizations")
);
const DELETE: &str = concat!(
    "UPDATE organizations SET deleted_at = $1
     WHERE id = $2 AND on_chain AND deleted_at IS NULL RETURNING ",
    org_columns!("organizations")
);

/// Reads an organization.
pub(super) fn read(columns: &Columns<'_>) -> Result<Organization, StoreError> {
    Ok(Organization {
        id: columns.get("organizations.organization_id")?,
        uid: columns.get("organizations.organization_uid")?,
        address: columns.get("organizations.organization_address")?,
        orchestrator_index: columns.get("organizations.orchestrator_index")?,
        name: columns.get("organizations.organization_name")?,
        owner: columns.get("organizations.organization_owner")?,
        created_at: columns.get("organizations.organization_created_at")?,
        deleted_at: columns.get("organizations.deleted_at")?,
        confirmed: columns.get("organizations.confirmed")?,
    })
}

fn organization(row: &PgRow) -> Result<Organization, StoreError> {
    read(&Columns::of(row))
}

/// A text to look for, as `strpos(lower(name), …)` compares it.
pub(super) fn needle(search: Option<&Search>) -> Option<String> {
    search.map(|search| columns::text(search.as_str().to_ascii_lowercase()))
}

async fn rename(
    write: &mut WriteTx,
    (id, name, act): &(OrgId, String, Act),
) -> Result<Option<Organization>, StoreError> {
    let Some(before) = write.optional(sqlx::query(FIND).bind(id.0)).await? else {
        return Ok(None);
    };
    let before = organization(&before)?.name;
    let rename = sqlx::query(RENAME).bind(columns::text(name.as_str())).bind(id.0);
    let renamed = organization(&write.one(rename).await?)?;
    write.directory_changed();
    if before != *name {
        let line = Line::of(*id, AuditAction::OrganizationRenamed);
        write.audit(act, line.before(before).after(name)).await?;
    }
    Ok(Some(renamed))
}

async fn delete(write: &mut WriteTx, (id, act): &(OrgId, Act)) -> Result<Option<Organization>, StoreError> {
    let delete = sqlx::query(DELETE).bind(act.at.micros()).bind(id.0);
    let Some(row) = write.optional(delete).await? else {
        return Ok(None);
    };
    write.directory_changed();
    let deleted = Organization {
        deleted_at: None,
        ..organization(&row)?
    };
    let line = Line::of(*id, AuditAction::OrganizationDeleted);
    write.audit(act, line.before(&deleted.name)).await?;
    Ok(Some(deleted))
}

impl PgOrgStore {
    async fn found(&self, statement: Statement) -> Result<Option<Organization>, StoreError> {
        let row = self.db.optional(statement).await?;
        row.as_ref().map(organization).transpose()
    }
}

#[async_trait]
impl OrgStore for PgOrgStore {
    async fn find(&self, id: OrgId) -> Result<Option<Organization>, StoreError> {
        self.found(sqlx::query(FIND).bind(id.0)).await
    }

    async fn find_by_address(&self, address: WalletAddress) -> Result<Option<Organization>, StoreError> {
        let find = sqlx::query(FIND_BY_ADDRESS).bind(columns::address(address));
        self.found(find).await
    }

    async fn of_wallet(
        &self,
        address: WalletAddress,
        name: Option<Search>,
        page: Page,
    ) -> Result<Listed<Organization>, StoreError> {
        let bound = |sql| {
            sqlx::query(sql)
                .bind(columns::address(address))
                .bind(needle(name.as_ref()))
        };
        self.db
            .listed(bound(COUNT_OF_WALLET), (bound(OF_WALLET), page), organization)
            .await
    }

    async fn newest_owned(&self, owner: WalletAddress) -> Result<Option<Organization>, StoreError> {
        self.found(sqlx::query(NEWEST_OWNED).bind(columns::address(owner)))
            .await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let row = self.db.optional(sqlx::query(COUNT)).await?;
        row.map_or(Ok(0), |row| Columns::of(&row).get("organizations.count"))
    }

    async fn rename(&self, id: OrgId, name: String, act: Act) -> Result<Option<Organization>, StoreError> {
        self.db
            .write((id, name, act), |write, change| Box::pin(rename(write, change)))
            .await
    }

    async fn delete(&self, id: OrgId, act: Act) -> Result<Option<Organization>, StoreError> {
        self.db
            .write((id, act), |write, of| Box::pin(delete(write, of)))
            .await
    }

    async fn pending_owner(&self, id: OrgId) -> Result<Option<WalletAddress>, StoreError> {
        let row = self.db.optional(sqlx::query(PENDING_OWNER).bind(id.0)).await?;
        row.map_or(Ok(None), |row| {
            Columns::of(&row).get("organizations.pending_owner")
        })
    }
}
