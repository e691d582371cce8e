//! [`BotStore`] on PostgreSQL.

use super::audit::Line;
use crate::{columns::Columns, db::Db, write::WriteTx};
use async_trait::async_trait;
use haithe_encryption::{EncryptionKey, SealedBox};
use haithe_kernel::{OrgId, ProjectId, StoreError};
use haithe_orgs::{
    audit::{Act, AuditAction},
    bots::{BotPlatform, BotToken},
    ports::BotStore,
};
use secrecy::SecretString;
use std::sync::Arc;

/// [`BotStore`] on PostgreSQL: a sealed token in a column of its project. A deleted project has none.
#[derive(Clone)]
pub struct PgBotStore {
    db: Db,
    seal: Arc<SealedBox>,
}

impl PgBotStore {
    /// The bots of this database, whose tokens are sealed under `key`.
    pub fn new(db: &Db, key: &EncryptionKey) -> Self {
        Self {
            db: db.clone(),
            seal: Arc::new(SealedBox::new(key, "haithe/bot-token")),
        }
    }
}

/// The statements about the token of one platform.
struct Statements {
    /// Locks the project; says whether it has a token.
    lock: &'static str,
    put: &'static str,
    get: &'static str,
}

macro_rules! statements {
    ($column:literal) => {
        Statements {
            lock: concat!(
                "SELECT org_id, ",
                $column,
                " IS NOT NULL AS has_token FROM projects WHERE id = $1 AND NOT deleted FOR UPDATE"
            ),
            put: concat!("UPDATE projects SET ", $column, " = $1 WHERE id = $2"),
            get: concat!(
                "SELECT ",
                $column,
                " AS bot_token FROM projects WHERE id = $1 AND NOT deleted"
            ),
        }
    };
}

const fn of(platform: BotPlatform) -> Statements {
    match platform {
        BotPlatform::Telegram => statements!("teloxide_token"),
        BotPlatform::Discord => statements!("discord_token"),
    }
}

/// Binds a sealed token to its project and platform.
fn context(project: ProjectId, platform: BotPlatform) -> Vec<u8> {
    format!("projects/{}/{platform}", project.0).into_bytes()
}

/// A project's token on a platform, sealed, or none.
struct NewToken {
    project: ProjectId,
    platform: BotPlatform,
    sealed: Option<Vec<u8>>,
    act: Act,
}

/// Stores the token; returns whether there is such a project.
async fn put(write: &mut WriteTx, new: &NewToken) -> Result<bool, StoreError> {
    let statements = of(new.platform);
    let lock = sqlx::query(statements.lock).bind(new.project.0);
    let Some(row) = write.optional(lock).await? else {
        return Ok(false);
    };
    let columns = Columns::of(&row);
    let org: OrgId = columns.get("projects.org_id")?;
    let had: bool = columns.get("projects.has_token")?;
    let action = match new.sealed {
        Some(_) => AuditAction::BotConfigured,
        None if had => AuditAction::BotRemoved,
        None => return Ok(true),
    };
    let put = sqlx::query(statements.put)
        .bind(new.sealed.clone())
        .bind(new.project.0);
    write.execute(put).await?;
    write.directory_changed();
    let line = Line::of(org, action).project(new.project).subject(new.platform);
    write.audit(&new.act, line).await?;
    Ok(true)
}

impl PgBotStore {
    async fn write(&self, new: NewToken) -> Result<bool, StoreError> {
        self.db
            .write_locking(new, |write, new| Box::pin(put(write, new)))
            .await
    }
}

#[async_trait]
impl BotStore for PgBotStore {
    async fn put(&self, project: ProjectId, token: BotToken, act: Act) -> Result<bool, StoreError> {
        let platform = token.platform();
        let sealed = self
            .seal
            .seal(&context(project, platform), token.expose().as_bytes())
            .map_err(StoreError::new)?;
        self.write(NewToken {
            project,
            platform,
            sealed: Some(sealed),
            act,
        })
        .await
    }

    async fn remove(&self, project: ProjectId, platform: BotPlatform, act: Act) -> Result<bool, StoreError> {
        self.write(NewToken {
            project,
            platform,
            sealed: None,
            act,
        })
        .await
    }

    async fn token(&self, project: ProjectId, platform: BotPlatform) -> Result<Option<BotToken>, StoreError> {
        let get = sqlx::query(of(platform).get).bind(project.0);
        let Some(row) = self.db.optional(get).await? else {
            return Ok(None);
        };
        let sealed: Option<Vec<u8>> = Columns::of(&row).get("projects.bot_token")?;
        let Some(sealed) = sealed else { return Ok(None) };
        let token = self
            .seal
            .open(&context(project, platform), &sealed)
            .map_err(StoreError::new)?;
        let inconsistent = || StoreError::inconsistent("projects.bot_token");
        let token = String::from_utf8(token).map_err(|_| inconsistent())?;
        BotToken::parse(platform, SecretString::from(token))
            .map(Some)
            .map_err(|_| inconsistent())
    }
}
