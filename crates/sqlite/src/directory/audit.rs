//! The audit: written by every store, in the transaction of the change; read by [`AuditStore`].

use crate::{
    columns::{self, Columns},
    db::{Db, WriteTx},
};
use async_trait::async_trait;
use haithe_kernel::{Listed, OrgId, Page, ProjectId, StoreError};
use haithe_orgs::{
    audit::{Act, AuditAction, AuditEntry, Caller},
    ports::AuditStore,
};
use sqlx::sqlite::SqliteRow;

/// A line to write.
pub(crate) struct Line {
    pub(crate) org: OrgId,
    pub(crate) project: Option<ProjectId>,
    pub(crate) action: AuditAction,
    pub(crate) subject: Option<String>,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
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
            subject: Some(subject.to_string()),
            ..self
        }
    }

    pub(crate) fn before(self, before: impl ToString) -> Self {
        Self {
            before: Some(before.to_string()),
            ..self
        }
    }

    pub(crate) fn after(self, after: impl ToString) -> Self {
        Self {
            after: Some(after.to_string()),
            ..self
        }
    }
}

impl WriteTx<'_> {
    /// Writes a line about what the act has just changed.
    pub(crate) async fn audit(&mut self, act: &Act, line: Line) -> Result<(), StoreError> {
        let insert = "INSERT INTO audit_log
                          (org_id, project_id, actor, action, subject, before, after, at, ip, request_id)
                      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let statement = sqlx::query(insert)
            .bind(line.org.0)
            .bind(line.project.map(|project| project.0))
            .bind(columns::address(act.by.address))
            .bind(line.action.as_str())
            .bind(line.subject)
            .bind(line.before)
            .bind(line.after)
            .bind(act.at.micros())
            .bind(act.by.ip.map(|ip| ip.to_string()))
            .bind(act.by.request.clone());
        self.execute(statement).await.map(drop)
    }
}

/// [`AuditStore`] on SQLite. The table refuses changes and deletions.
#[derive(Clone)]
pub struct SqliteAuditStore {
    db: Db,
}

impl SqliteAuditStore {
    /// The audit of this database.
    pub fn new(db: &Db) -> Self {
        Self { db: db.clone() }
    }
}

fn entry(row: &SqliteRow) -> Result<AuditEntry, StoreError> {
    let columns = Columns::of(row);
    let id = columns.get("audit_log.id")?;
    let project = columns.get("audit_log.project_id")?;
    let address = columns.get("audit_log.actor")?;
    let action: String = columns.get("audit_log.action")?;
    let subject = columns.get("audit_log.subject")?;
    let before = columns.get("audit_log.before")?;
    let after = columns.get("audit_log.after")?;
    let at = columns.get("audit_log.at")?;
    let ip = columns.get("audit_log.ip")?;
    let request = columns.get("audit_log.request_id")?;
    Ok(AuditEntry {
        id,
        act: Act {
            by: Caller { address, ip, request },
            at,
        },
        action: action
            .parse()
            .map_err(|_| StoreError::inconsistent("audit_log.action"))?,
        project,
        subject,
        before,
        after,
    })
}

#[async_trait]
impl AuditStore for SqliteAuditStore {
    async fn of_org(
        &self,
        org: OrgId,
        action: Option<AuditAction>,
        page: Page,
    ) -> Result<Listed<AuditEntry>, StoreError> {
        const COLUMNS: &str =
            "SELECT id, project_id, actor, action, subject, before, after, at, ip, request_id FROM audit_log";
        let (count, lines) = match action {
            None => (
                sqlx::query("SELECT count(*) AS count FROM audit_log WHERE org_id = ?").bind(org.0),
                sqlx::query(sqlx::AssertSqlSafe(format!(
                    "{COLUMNS} WHERE org_id = ? ORDER BY id DESC LIMIT ? OFFSET ?"
                )))
                .bind(org.0),
            ),
            Some(action) => (
                sqlx::query("SELECT count(*) AS count FROM audit_log WHERE org_id = ? AND action = ?")
                    .bind(org.0)
                    .bind(action.as_str()),
                sqlx::query(sqlx::AssertSqlSafe(format!(
                    "{COLUMNS} WHERE org_id = ? AND action = ? ORDER BY id DESC LIMIT ? OFFSET ?"
                )))
                .bind(org.0)
                .bind(action.as_str()),
            ),
        };
        let lines = lines.bind(page.limit()).bind(page.offset());
        self.db.listed(count, lines, entry).await
    }
}
