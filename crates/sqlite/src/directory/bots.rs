//! [`BotStore`] on SQLite.

use super::audit::Line;
use crate::{
    columns::Columns,
    db::{Db, WriteTx},
};
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

/// [`BotStore`] on SQLite: a sealed token in a column of its project. A deleted project has none.
#[derive(Clone)]
pub struct SqliteBotStore {
    db: Db,
    seal: Arc<SealedBox>,
}

impl SqliteBotStore {
    /// The bots of this database, whose tokens are sealed under `key`.
    pub fn new(db: &Db, key: &EncryptionKey) -> Self {
        Self {
            db: db.clone(),
            seal: Arc::new(SealedBox::new(key, "haithe/bot-token")),
        }
    }
}

/// Binds a sealed token to its project and platform.
fn context(project: ProjectId, platform: BotPlatform) -> Vec<u8> {
    format!("projects/{}/{platform}", project.0).into_bytes()
}

/// Stores sealed bytes or nothing; says whether there is such a project, and whether anything changed.
async fn put(
    write: &mut WriteTx<'_>,
    project: ProjectId,
    platform: BotPlatform,
    sealed: Option<Vec<u8>>,
    act: &Act,
) -> Result<bool, StoreError> {
    let find = match platform {
        BotPlatform::Telegram => {
            "SELECT org_id, teloxide_token IS NOT NULL AS had_token FROM projects WHERE id = ? AND deleted = 0"
        }
        BotPlatform::Discord => {
            "SELECT org_id, discord_token IS NOT NULL AS had_token FROM projects WHERE id = ? AND deleted = 0"
        }
    };
    let Some(row) = write.optional(sqlx::query(find).bind(project.0)).await? else {
        return Ok(false);
    };
    let columns = Columns::of(&row);
    let org: OrgId = columns.get("projects.org_id")?;
    let had: bool = columns.get_as("had_token", "projects.bot_token")?;
    let action = match sealed {
        Some(_) => AuditAction::BotConfigured,
        None if had => AuditAction::BotRemoved,
        None => return Ok(true),
    };
    let put = match platform {
        BotPlatform::Telegram => "UPDATE projects SET teloxide_token = ? WHERE id = ?",
        BotPlatform::Discord => "UPDATE projects SET discord_token = ? WHERE id = ?",
    };
    write
        .execute(sqlx::query(put).bind(sealed).bind(project.0))
        .await?;
    write.directory_changed();
    let line = Line::of(org, action).project(project).subject(platform);
    write.audit(act, line).await?;
    Ok(true)
}

#[async_trait]
impl BotStore for SqliteBotStore {
    async fn put(&self, project: ProjectId, token: BotToken, act: Act) -> Result<bool, StoreError> {
        let platform = token.platform();
        let sealed = self
            .seal
            .seal(&context(project, platform), token.expose().as_bytes())
            .map_err(StoreError::new)?;
        self.db
            .write(move |write| {
                Box::pin(async move { put(write, project, platform, Some(sealed), &act).await })
            })
            .await
    }

    async fn remove(&self, project: ProjectId, platform: BotPlatform, act: Act) -> Result<bool, StoreError> {
        self.db
            .write(move |write| Box::pin(async move { put(write, project, platform, None, &act).await }))
            .await
    }

    async fn token(&self, project: ProjectId, platform: BotPlatform) -> Result<Option<BotToken>, StoreError> {
        let find = match platform {
            BotPlatform::Telegram => {
                "SELECT teloxide_token AS bot_token FROM projects WHERE id = ? AND deleted = 0"
            }
            BotPlatform::Discord => {
                "SELECT discord_token AS bot_token FROM projects WHERE id = ? AND deleted = 0"
            }
        };
        let Some(row) = self.db.optional(sqlx::query(find).bind(project.0)).await? else {
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
