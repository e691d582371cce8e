//! A request that follows no redirect goes to the address that it names, and nowhere else.

use super::{Names, OK, answer, get, listen};
use crate::{Egress, Policy};
use haithe_kernel::{FetchError, FetchMethod, FetchRequest, Fetcher, Redirects};
use std::sync::{Arc, atomic::Ordering};

const METHODS: [FetchMethod; 6] = [
    FetchMethod::Get,
    FetchMethod::Head,
    FetchMethod::Post,
    FetchMethod::Put,
    FetchMethod::Patch,
    FetchMethod::Delete,
];

#[tokio::test]
async fn what_follows_none_makes_one_request_wherever_it_is_led() {
    let names = Arc::new(Names::default());
    names.set("first.example", &[&["127.0.0.1"]]);
    names.set("second.example", &[&["127.0.0.1"]]);
    let (second, elsewhere, _) = listen("127.0.0.1:0", answer(OK)).await;
    let head = answer(OK);
    let (first, reached, _) = listen("127.0.0.1:0", Arc::clone(&head)).await;
    let egress = Egress::for_tests(Policy::default(), names, &[first, second]).unwrap();
    let url = format!("http://first.example:{}/tool", first.port());
    let places = [
        format!("http://second.example:{}/", second.port()),
        format!("//second.example:{}/", second.port()),
        format!("http://127.0.0.1:{}/", second.port()),
        "http://169.254.169.254/latest".to_owned(),
        "http://[::1".to_owned(),
        "/admin".to_owned(),
        url.clone(),
    ];
    let mut asked = 0;
    for status in [301, 302, 303, 307, 308] {
        for place in &places {
            *head.lock().unwrap() = format!(
                "HTTP/1.1 {status} Moved\r\nlocation: {place}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            for method in METHODS {
                let body = match method {
                    FetchMethod::Get | FetchMethod::Head => Vec::new(),
                    _ => b"{}".to_vec(),
                };
                let request = FetchRequest {
                    method,
                    body,
                    redirects: Redirects::Refused,
                    ..get(&url)
                };
                let refused = egress.fetch(request).await;
                assert!(
                    matches!(refused, Err(FetchError::Redirect)),
                    "{status} {method:?} {place}: {refused:?}"
                );
                asked += 1;
                assert_eq!(
                    reached.load(Ordering::SeqCst),
                    asked,
                    "{status} {method:?} {place}"
                );
            }
        }
    }
    assert_eq!(elsewhere.load(Ordering::SeqCst), 0);

    // The same place is reached by what follows, so that it was there to be reached.
    *head.lock().unwrap() = format!(
        "HTTP/1.1 302 Moved\r\nlocation: {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        places[0]
    );
    assert_eq!(egress.fetch(get(&url)).await.unwrap().body, b"ok");
    assert_eq!(elsewhere.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_that_leads_nowhere_is_an_answer_also_to_what_follows_none() {
    let names = Arc::new(Names::default());
    names.set("first.example", &[&["127.0.0.1"]]);
    let head = answer(OK);
    let (first, ..) = listen("127.0.0.1:0", Arc::clone(&head)).await;
    let egress = Egress::for_tests(Policy::default(), names, &[first]).unwrap();
    for answered in ["200 OK", "300 Many", "304 Same", "302 Moved"] {
        let location = if answered.starts_with("302") {
            ""
        } else {
            "location: /else\r\n"
        };
        *head.lock().unwrap() =
            format!("HTTP/1.1 {answered}\r\n{location}content-length: 0\r\nconnection: close\r\n\r\n");
        let request = FetchRequest {
            redirects: Redirects::Refused,
            ..get(&format!("http://first.example:{}/", first.port()))
        };
        let status = egress.fetch(request).await.unwrap().status;
        assert!(answered.starts_with(&status.to_string()), "{answered}: {status}");
    }
}
