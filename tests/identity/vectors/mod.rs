//! The vectors, and what plays them.

mod addresses;
mod keys;
mod messages;
mod signatures;
mod tokens;

use futures::{StreamExt, future::BoxFuture, stream};
use haithe_tests::{
    app::{App, Setup},
    client::{Answer, Client},
    wallets::Wallet,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// Fewer vectors than this are a mistake.
const AT_LEAST: usize = 300;
/// Played at the same time.
const AT_ONCE: usize = 16;

/// What must be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// A success.
    Accepted,
    /// This status and code.
    Refused(u16, &'static str),
}

pub use Expected::{Accepted, Refused};

/// The one answer to a login that proves nothing.
pub const LOGIN_REFUSED: Expected = Refused(401, "login_refused");
/// A parameter that cannot be read.
pub const UNREADABLE: Expected = Refused(400, "invalid_parameter");
/// The one answer to an API key that is none.
pub const INVALID: Expected = Refused(401, "invalid_api_key");
/// The one answer to a token that is none.
pub const INVALID_TOKEN: Expected = Refused(401, "invalid_token");

type Play = Box<dyn FnOnce(Arc<Desk>) -> BoxFuture<'static, Answer> + Send>;

/// One vector.
pub struct Vector {
    group: &'static str,
    name: String,
    expected: Expected,
    play: Play,
}

impl Vector {
    pub fn new<F>(
        group: &'static str,
        name: impl Into<String>,
        expected: Expected,
        play: impl FnOnce(Arc<Desk>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        Self {
            group,
            name: name.into(),
            expected,
            play: Box::new(|desk| Box::pin(play(desk))),
        }
    }
}

/// What vectors are played at.
pub struct Desk {
    pub app: App,
    pub client: Client,
    next: AtomicU32,
}

impl Desk {
    /// A wallet that nobody used before.
    pub fn wallet(&self) -> Wallet {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Wallet::named(&format!("vector {number}"))
    }

    /// A fresh challenge of the wallet.
    pub async fn challenge(&self, wallet: &Wallet) -> Value {
        let address = wallet.address().to_string();
        let ask = self.client.get("/v1/auth/nonce");
        ask.query(&[("address", &address)]).data().await
    }

    /// A login with this body.
    pub async fn log_in(&self, body: &Value) -> Answer {
        self.client.post("/v1/auth/login").json(body).send().await
    }
}

/// What a challenge says to sign.
pub fn text(challenge: &Value) -> &str {
    challenge["nonce"].as_str().expect("a text to sign")
}

/// The code of a failure in either dialect.
fn code_of(answer: &Answer) -> String {
    let body = answer.json();
    let code = body.get("code").or_else(|| body.pointer("/error/code"));
    code.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn differs(expected: Expected, answer: &Answer) -> bool {
    match expected {
        Accepted => !answer.status.is_success(),
        Refused(status, code) => answer.status != status || code_of(answer) != code,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_vector_is_answered_as_it_states() {
    let app = App::with(Setup::default()).await;
    let desk = Arc::new(Desk {
        client: app.anonymous(),
        app,
        next: AtomicU32::new(0),
    });
    let mut vectors = signatures::vectors();
    vectors.extend(addresses::vectors());
    vectors.extend(messages::vectors());
    vectors.extend(tokens::vectors(&desk).await);
    vectors.extend(keys::vectors(&desk).await);

    let mut counts = BTreeMap::<&str, usize>::new();
    for vector in &vectors {
        *counts.entry(vector.group).or_default() += 1;
    }
    let count = vectors.len();
    println!("{count} vectors: {}", json!(counts));
    let wrong: Vec<String> = stream::iter(vectors)
        .map(|vector| {
            let desk = Arc::clone(&desk);
            async move {
                let answer = (vector.play)(desk).await;
                differs(vector.expected, &answer).then(|| {
                    format!(
                        "{}: {}: {:?}, but it was {} {}",
                        vector.group,
                        vector.name,
                        vector.expected,
                        answer.status,
                        answer.text()
                    )
                })
            }
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(async |wrong| wrong)
        .collect()
        .await;
    assert!(
        wrong.is_empty(),
        "{} of {count} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(count >= AT_LEAST, "only {count} vectors");
}
