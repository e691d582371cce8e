//! Nothing that a user names reaches an address inside: real sockets, and a corpus as data.

mod by_name;
mod dns;
mod redirects;

use crate::{Address, Egress, Host, HostLimits, Policy, Resolver, is_public};
use haithe_kernel::{FetchError, FetchRequest, Fetcher};
use proptest::prelude::*;
use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// Names with a queue of answers each; the last one stays. Others resolve to a public address.
#[derive(Default)]
struct Names {
    answers: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    asked: AtomicUsize,
}

impl Names {
    fn set(&self, name: &str, answers: &[&[&str]]) {
        let parsed = answers
            .iter()
            .map(|answer| answer.iter().map(|ip| ip.parse().unwrap()).collect())
            .collect();
        self.answers.lock().unwrap().insert(name.to_owned(), parsed);
    }
}

#[async_trait::async_trait]
impl Resolver for Names {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        match answers.get_mut(name.trim_end_matches('.')) {
            Some(queue) if queue.len() > 1 => Ok(queue.remove(0)),
            Some(queue) => Ok(queue[0].clone()),
            None => Ok(vec!["93.184.215.14".parse().unwrap()]),
        }
    }
}

/// A listener that counts connections and answers every request with `head`.
async fn listen(at: &str, head: Arc<Mutex<String>>) -> (SocketAddr, Arc<AtomicUsize>, Arc<Mutex<String>>) {
    let listener = TcpListener::bind(at).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (hits, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(String::new())));
    let (count, last) = (Arc::clone(&hits), Arc::clone(&seen));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let mut bytes = vec![0; 8192];
            let read = stream.read(&mut bytes).await.unwrap_or(0);
            *last.lock().unwrap() = String::from_utf8_lossy(&bytes[..read]).into_owned();
            let answer = head.lock().unwrap().clone();
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, hits, seen)
}

fn answer(text: &str) -> Arc<Mutex<String>> {
    Arc::new(Mutex::new(text.to_owned()))
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

fn get(url: &str) -> FetchRequest {
    FetchRequest {
        within: Duration::from_secs(5),
        ..FetchRequest::get(url)
    }
}

fn corpus(names: &Names, port: u16) -> Vec<String> {
    include_str!("tests/refused.txt")
        .lines()
        .map(|line| {
            let line = line.replace("{port}", &port.to_string());
            let Some((url, addresses)) = line.split_once(" => ") else {
                return line;
            };
            let name = url.trim_start_matches("http://").split(':').next().unwrap();
            names.set(name, &[&addresses.split(' ').collect::<Vec<_>>()]);
            url.to_owned()
        })
        .collect()
}

/// Finding 15: whoever names addresses cannot point this service at somebody else's host.
#[tokio::test]
async fn a_host_is_sent_no_more_than_its_limit_by_redirects_and_other_names_either() {
    let names = Arc::new(Names::default());
    for name in ["a", "b", "c", "d", "e", "f", "g", "r"] {
        names.set(&format!("{name}.example"), &[&["127.0.0.1"]]);
    }
    let head = answer(OK);
    let (open, hits, _) = listen("127.0.0.1:0", Arc::clone(&head)).await;
    let policy = Policy {
        per_host: HostLimits {
            concurrent: 0,
            per_minute: 1,
            burst: 2,
        },
        ..Policy::default()
    };
    let egress = Egress::for_tests(policy, Arc::clone(&names) as Arc<dyn Resolver>, &[open]).unwrap();
    let url = |name: &str| format!("http://{name}.example:{}/", open.port());
    for _ in 0..2 {
        assert!(egress.fetch(get(&url("a"))).await.is_ok());
    }
    assert!(matches!(
        egress.fetch(get(&url("a"))).await,
        Err(FetchError::Busy)
    ));
    *head.lock().unwrap() = format!(
        "HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        url("a")
    );
    assert!(matches!(
        egress.fetch(get(&url("r"))).await,
        Err(FetchError::Busy)
    ));
    *head.lock().unwrap() = OK.to_owned();
    // All names of an address together get four times as much.
    for name in ["b", "c", "d", "e", "f"] {
        assert!(egress.fetch(get(&url(name))).await.is_ok(), "{name}");
    }
    assert!(matches!(
        egress.fetch(get(&url("g"))).await,
        Err(FetchError::Busy)
    ));
    assert_eq!(hits.load(Ordering::SeqCst), 8);
}

#[tokio::test]
async fn no_form_of_the_corpus_reaches_a_listener_inside_directly_or_by_redirect() {
    let names = Arc::new(Names::default());
    let (canary, hits, _) = listen("0.0.0.0:0", answer(OK)).await;
    let head = answer(OK);
    let (open, reached, _) = listen("127.0.0.1:0", Arc::clone(&head)).await;
    names.set("open.example", &[&["127.0.0.1"]]);
    let mut policy = Policy::default();
    policy.ports.insert(canary.port());
    let egress = Egress::for_tests(policy, Arc::clone(&names) as Arc<dyn Resolver>, &[open]).unwrap();

    let forms = corpus(&names, canary.port());
    assert!(forms.len() >= 300, "{}", forms.len());
    for form in &forms {
        let refused = egress.fetch(get(form)).await;
        assert!(
            matches!(refused, Err(FetchError::Refused(_))),
            "{form}: {refused:?}"
        );
    }
    let start = format!("http://open.example:{}/", open.port());
    let absolute = forms
        .iter()
        .filter(|form| form.contains("://") && form.is_ascii());
    let mut walked = 0;
    for form in absolute {
        *head.lock().unwrap() = format!(
            "HTTP/1.1 302 Found\r\nlocation: {form}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        let refused = egress.fetch(get(&start)).await;
        assert!(
            matches!(refused, Err(FetchError::Refused(_))),
            "{form}: {refused:?}"
        );
        walked += 1;
    }
    assert!(walked >= 300);
    assert_eq!(reached.load(Ordering::SeqCst), walked);
    assert_eq!(hits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn fifty_good_addresses_pass() {
    let egress = Egress::for_tests(Policy::default(), Arc::new(Names::default()), &[]).unwrap();
    let good: Vec<_> = include_str!("tests/allowed.txt").lines().collect();
    assert_eq!(good.len(), 50);
    for url in good {
        let found = egress.vet(url).await;
        assert!(found.is_ok(), "{url}: {found:?}");
    }
}

#[tokio::test]
async fn a_name_that_answers_differently_the_second_time_is_asked_once_per_connection() {
    let names = Arc::new(Names::default());
    let (open, reached, _) = listen("127.0.0.1:0", answer(OK)).await;
    let (_, hits, _) = listen(&format!("127.0.0.2:{}", open.port()), answer(OK)).await;
    names.set("rebind.example", &[&["127.0.0.1"], &["127.0.0.2"]]);
    let egress = Egress::for_tests(
        Policy::default(),
        Arc::clone(&names) as Arc<dyn Resolver>,
        &[open],
    )
    .unwrap();
    let url = format!("http://rebind.example:{}/", open.port());

    assert_eq!(egress.fetch(get(&url)).await.unwrap().body, b"ok");
    assert_eq!(names.asked.load(Ordering::SeqCst), 1);
    assert!(matches!(
        egress.fetch(get(&url)).await,
        Err(FetchError::Refused(_))
    ));
    assert_eq!(
        (reached.load(Ordering::SeqCst), hits.load(Ordering::SeqCst)),
        (1, 0)
    );
}

#[tokio::test]
async fn credentials_stay_with_the_host_they_were_given_for() {
    let names = Arc::new(Names::default());
    names.set("first.example", &[&["127.0.0.1"]]);
    names.set("second.example", &[&["127.0.0.1"]]);
    let (second, _, seen) = listen("127.0.0.1:0", answer(OK)).await;
    let moved = format!(
        "HTTP/1.1 302 Found\r\nlocation: http://second.example:{}/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        second.port()
    );
    let (first, _, shown) = listen("127.0.0.1:0", answer(&moved)).await;
    let egress = Egress::for_tests(Policy::default(), names, &[first, second]).unwrap();
    let mut request = get(&format!("http://first.example:{}/", first.port()));
    request.headers = vec![
        ("authorization".into(), "Bearer secret".into()),
        ("x-key".into(), "secret".into()),
    ];

    assert_eq!(egress.fetch(request).await.unwrap().status, 200);
    assert!(shown.lock().unwrap().contains("secret"));
    assert!(!seen.lock().unwrap().contains("secret"));
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused() {
    let names = Arc::new(Names::default());
    names.set("big.example", &[&["127.0.0.1"]]);
    let (big, ..) = listen(
        "127.0.0.1:0",
        answer("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n0123456789"),
    )
    .await;
    let egress = Egress::for_tests(Policy::default(), names, &[big]).unwrap();
    let mut request = get(&format!("http://big.example:{}/", big.port()));
    request.most_bytes = 9;
    assert!(matches!(egress.fetch(request).await, Err(FetchError::TooLarge)));
}

proptest! {
    #[test]
    fn no_text_panics_and_a_literal_that_passes_is_public(text in "(https?://)?\\PC{0,40}", ip in any::<u32>()) {
        for text in [text, format!("http://{ip}/"), format!("http://{ip:#o}/"), format!("http://{ip:#x}/")] {
            let read = Address::parse(&text, |_| true);
            if let Some(Host::Ip(ip)) = read.as_ref().ok().map(Address::host) {
                prop_assert!(is_public(*ip));
            }
        }
    }
}
