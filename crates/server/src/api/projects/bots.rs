//! A project's bots: their tokens. The bots themselves do not run yet.

use crate::http::{
    Answer, ApiError, Success,
    envelope::Nothing,
    extract::{Acting, AuthUser, Change, Private, Segment},
};
use axum::extract::State;
use haithe_kernel::ProjectId;
use haithe_orgs::bots::{Bot, BotPlatform, Bots};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// A bot on the wire. Its token is never shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Bot)]
pub struct BotView {
    /// Has it a token?
    configured: bool,
    /// Is it logged in?
    running: bool,
    org_uid: String,
    project_uid: String,
    /// Whom the platform says it is, once it runs.
    #[schema(required = true, value_type = Option<Object>)]
    me: Option<()>,
}

impl From<Bot> for BotView {
    fn from(bot: Bot) -> Self {
        Self {
            configured: bot.configured,
            running: false,
            org_uid: bot.org.uid.to_string(),
            project_uid: bot.project.uid.to_string(),
            me: None,
        }
    }
}

/// A token of Telegram.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = TelegramInput)]
pub struct TelegramInput {
    /// As @BotFather shows it; `null` takes the one there is away.
    #[serde(default)]
    #[schema(value_type = Option<String>, required = true, write_only,
        pattern = "^[0-9]{1,19}:[A-Za-z0-9_-]{35}$")]
    teloxide_token: Change<SecretString>,
}

/// A token of Discord.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = DiscordInput)]
pub struct DiscordInput {
    /// As the developer portal shows it; `null` takes the one there is away.
    #[serde(default)]
    #[schema(value_type = Option<String>, required = true, write_only,
        pattern = "^[A-Za-z0-9_-]{16,40}\\.[A-Za-z0-9_-]{5,12}\\.[A-Za-z0-9_-]{24,80}$")]
    discord_token: Change<SecretString>,
}

/// A project's bot on Telegram.
#[utoipa::path(get, path = "/api/v1/projects/{id}/telegram",
    params(("id" = i64, Path, description = "The project's number")),
    responses((status = 200, body = Success<BotView>)))]
pub async fn telegram(
    State(bots): State<Arc<Bots>>,
    user: AuthUser,
    Segment(id): Segment<ProjectId>,
) -> Answer<BotView> {
    let bot = bots.show(user.address, id, BotPlatform::Telegram).await?;
    Ok(Success::of("Telegram bot", bot.into()))
}

/// A project's bot on Discord.
#[utoipa::path(get, path = "/api/v1/projects/{id}/discord",
    params(("id" = i64, Path, description = "The project's number")),
    responses((status = 200, body = Success<BotView>)))]
pub async fn discord(
    State(bots): State<Arc<Bots>>,
    user: AuthUser,
    Segment(id): Segment<ProjectId>,
) -> Answer<BotView> {
    let bot = bots.show(user.address, id, BotPlatform::Discord).await?;
    Ok(Success::of("Discord bot", bot.into()))
}

/// Set or remove the token of a project's bot on Telegram.
#[utoipa::path(put, path = "/api/v1/projects/{id}/telegram",
    params(("id" = i64, Path, description = "The project's number")), request_body = TelegramInput,
    responses((status = 200, body = Success<Nothing>)))]
pub async fn put_telegram(
    State(bots): State<Arc<Bots>>,
    Acting(caller): Acting,
    Segment(id): Segment<ProjectId>,
    Private(input): Private<TelegramInput>,
) -> Answer<Nothing> {
    let token = given("teloxide_token", input.teloxide_token)?;
    bots.put(caller, id, BotPlatform::Telegram, token).await?;
    Ok(Success::of("Telegram bot configured", Nothing {}))
}

/// Set or remove the token of a project's bot on Discord.
#[utoipa::path(put, path = "/api/v1/projects/{id}/discord",
    params(("id" = i64, Path, description = "The project's number")), request_body = DiscordInput,
    responses((status = 200, body = Success<Nothing>)))]
pub async fn put_discord(
    State(bots): State<Arc<Bots>>,
    Acting(caller): Acting,
    Segment(id): Segment<ProjectId>,
    Private(input): Private<DiscordInput>,
) -> Answer<Nothing> {
    let token = given("discord_token", input.discord_token)?;
    bots.put(caller, id, BotPlatform::Discord, token).await?;
    Ok(Success::of("Discord bot configured", Nothing {}))
}

/// A token or `null`; leaving it out is neither.
fn given(name: &str, token: Change<SecretString>) -> Result<Option<SecretString>, ApiError> {
    token.nested().ok_or_else(|| {
        let mut error = ApiError::bad_request(
            "missing_parameter",
            format!("`{name}` is missing: give the token, or null to remove it"),
        );
        error.param = Some(name.to_owned());
        error
    })
}
