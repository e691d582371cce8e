//! `POST /api/v1/auth/waitlist`.

use crate::http::{
    Answer, Success,
    envelope::Nothing,
    extract::{Input, Parsed},
};
use axum::extract::State;
use haithe_identity::waitlist::{Email, WaitingList};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Who waits.
#[derive(Debug, Deserialize, ToSchema)]
pub struct WaitlistInput {
    #[schema(value_type = String, format = Email, max_length = 254)]
    email: Parsed<Email>,
}

/// Wait to be let in.
#[utoipa::path(post, path = "/api/v1/auth/waitlist", security(()), request_body = WaitlistInput,
    responses((status = 200, body = Success<Nothing>)))]
pub async fn join(
    State(list): State<Arc<WaitingList>>,
    Input(input): Input<WaitlistInput>,
) -> Answer<Nothing> {
    list.join(input.email.0).await?;
    Ok(Success::nothing("You are on the waitlist"))
}
