//! Logging in and out.

use crate::{
    cast::{log_in, log_in_wallet},
    row::{Given, Row, Stage},
    table::Rule,
};
use haithe_tests::{app::User, client::Client, wallets::Wallet};

pub fn rows() -> Vec<Row> {
    vec![
        Row::new("GET /api/v1/auth/nonce", Rule::Public)
            .query(|stage| vec![("address", stage.world.somebody())]),
        Row::new("POST /api/v1/auth/login", Rule::Public).given(async |stage: Stage| {
            let wallet = Wallet::named(&format!("newcomer {}", stage.world.number()));
            let address = wallet.address().to_string();
            let ask = stage.world.app.anonymous().get("/v1/auth/nonce");
            let challenge = ask.query(&[("address", &address)]).data().await;
            let signature = wallet.sign(challenge["nonce"].as_str().expect("a text"));
            Given {
                query: vec![("address", address), ("signature", signature)],
                ..Given::default()
            }
        }),
        Row::new("POST /api/v1/auth/logout", Rule::Session).given(async |stage| Given {
            client: another_session(&stage).await,
            ..Given::default()
        }),
    ]
}

/// A second session of the caller's wallet, which the request may end.
pub async fn another_session(stage: &Stage) -> Option<Client> {
    let User { wallet, .. } = stage.world.caller(stage.who).user.clone()?;
    Some(log_in_wallet(&stage.world.app, wallet).await.client)
}

/// A wallet that is none of the callers, with a session. Another one every time: of one wallet's
/// challenges from one address only a few live.
pub async fn somebody_else(stage: &Stage) -> User {
    log_in(
        &stage.world.app,
        &format!("somebody else {}", stage.world.number()),
    )
    .await
}

/// A wallet that nobody has seen, with a session.
pub async fn newcomer(stage: &Stage) -> User {
    log_in(&stage.world.app, &format!("newcomer {}", stage.world.number())).await
}
