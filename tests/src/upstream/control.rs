//! The provider's own door for programs of other languages: what comes next, and what was seen.

use super::{Script, Shared, full, respond};
use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

/// Answers `POST …/control/next` (a list of scripts for the next requests) and
/// `GET …/control/seen` (every request so far).
pub fn answer(shared: &Shared, path: &str, body: &Bytes) -> Option<Response<super::Body>> {
    match path.rsplit_once("/control/")?.1 {
        "next" => {
            let scripts: Vec<Script> = serde_json::from_slice(body).expect("a list of scripts");
            shared.queue.lock().unwrap().extend(scripts);
            Some(respond("application/json", full(Bytes::from_static(b"{}"))))
        }
        "seen" => {
            let seen = shared.seen.borrow();
            let seen = seen.iter().map(|exchange| {
                let metered = exchange.metered();
                json!({
                    "path": exchange.path,
                    "body": serde_json::from_slice::<Value>(&exchange.body).unwrap_or_default(),
                    "stage": format!("{:?}", metered.stage),
                    "output": metered.output,
                })
            });
            let seen = Value::Array(seen.collect()).to_string();
            Some(respond("application/json", full(seen.into())))
        }
        _ => None,
    }
}
