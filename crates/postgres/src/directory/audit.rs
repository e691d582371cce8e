//! The audit: written by every store, in the transaction of the change; read by [`AuditStore`].

use crate::{
    columns::{self, Columns},
    db::{Db, Statement},
    write::WriteTx,
};
use async_trait::async_trait;
use haithe_kernel::{Listed, OrgId, Page, ProjectId, StoreError};
use haithe_orgs::{
    audit::{Act, AuditAction, AuditEntry, Caller},
    ports::AuditStore,
};
use sqlx::postgres::PgRow;

/// A line to write.
pub(crate) struct Line {
    org: OrgId,
    project: Option<ProjectId>,
    action: AuditAction,
    subject: Option<String>,
    before: Option<String>,
    after: Option<String>,
}

impl Line {
    pub(crate) const fn of(org: OrgId, action: AuditAction) -> Self {
        Self {
            org,
            project: None,
            action,
            subject: None,
            before: None,
            after: None,
        }
    }

    pub(crate) fn project(self, project: ProjectId) -> Self {
        Self {
            project: Some(project),
            ..self
        }
    }

    pub(crate) fn subject(self, subject: impl ToString) -> Self {
        Self {
            subject: Some(columns::text(subject.to_string())),
            ..self
        }
    }

    pub(crate) fn before(self, before: impl ToString) -> Self {
        Self {
            before: Some(columns::text(before.to_string())),
            ..self
        }
    }

    /// What there was before and is after, where there was or is something.
    pub(crate) fn changed(self, before: Option<String>, after: Option<String>) -> Self {
        Self {
            before: before.map(columns::text),
            after: after.map(columns::text),
            ..self
        }
    }

    pub(crate) fn after(self, after: impl ToString) -> Self {
        Self {
            after: Some(columns::text(after.to_string())),
            ..self
        }
    }
}

const INSERT: &str = "
    INSERT INTO audit_log (org_id, project_id, actor, action, subject, before, after, at, ip, request_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

impl WriteTx {
    /// Writes a line about what the act has just changed.
    pub(crate) async fn audit(&mut self, act: &Act, line: Line) -> Result<(), StoreError> {
        let statement = sqlx::query(INSERT)
            .bind(line.org.0)
            .bind(line.project.map(|project| project.0))
            .bind(columns::address(act.by.address))
            .bind(line.action.as_str())
            .bind(line.subject)
            .bind(line.before)
            .bind(line.after)
            .bind(act.at.micros())
            .bind(act.by.ip.map(|ip| ip.to_string()))
            .bind(act.by.request.clone().map(columns::text));
        self.execute(statement).await.map(drop)
    }
}

/// [`AuditStore`] on PostgreSQL. Its rows are never changed or deleted.
#[derive(Clone)]
pub struct PgAuditStore {
    db: Db,
}

impl PgAuditStore {
    /// The audit of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

fn entry(row: &PgRow) -> Result<AuditEntry, StoreError> {
    let columns = Columns::of(row);
    let action: String = columns.get("audit_log.action")?;
    Ok(AuditEntry {
        id: columns.get("audit_log.id")?,
        act: Act {
            by: Caller {
                address: columns.get("audit_log.actor")?,
                ip: columns.get("audit_log.ip")?,
                request: columns.get("audit_log.request_id")?,
            },
            at: columns.get("audit_log.at")?,
        },
        action: action
            .parse()
            .map_err(|_| StoreError::inconsistent("audit_log.action"))?,
        project: columns.get("audit_log.project_id")?,
        subject: columns.get("audit_log.subject")?,
        before: columns.get("audit_log.before")?,
        after: columns.get("audit_log.after")?,
    })
}

#[async_trait]
impl AuditStore for PgAuditStore {
    async fn of_org(
        &self,
        org: OrgId,
        action: Option<AuditAction>,
        page: Page,
    ) -> Result<Listed<AuditEntry>, StoreError> {
        let bound = |statement: Statement| statement.bind(org.0).bind(action.map(AuditAction::as_str));
        let count = bound(sqlx::query(
            "SELECT count(*) FROM audit_log WHERE org_id = $1 AND ($2 IS NULL OR action = $2)",
        ));
        let lines = bound(sqlx::query(
            "SELECT id, project_id, actor, action, subject, before, after, at, ip, request_id FROM audit_log
             WHERE org_id = $1 AND ($2 IS NULL OR action = $2) ORDER BY id DESC LIMIT $3 OFFSET $4",
        ));
        self.db.listed(count, (lines, page), entry).await
    }
}
