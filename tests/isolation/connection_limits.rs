//! Connections and bodies of one client leave room for everybody else's.

use haithe_kernel::Usdt;
use haithe_server::Config;
use haithe_tests::{
    DEADLINE,
    app::{App, Setup, models, question},
    client::Client,
    eventually,
    upstream::Script,
};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// Addresses of loopback, each a client of its own.
const fn client_address(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, number))
}

fn server(app: &App) -> SocketAddr {
    let address = app.base.trim_start_matches("http://").trim_end_matches("/api");
    address.parse().unwrap()
}

async fn connect(app: &App, from: IpAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from, 0)).unwrap();
    socket.connect(server(app)).await.unwrap()
}

/// A connection with a request's head that is never complete.
async fn half_open(app: &App, from: IpAddr) -> TcpStream {
    let mut stream = connect(app, from).await;
    // The server may have closed the connection already.
    let _ = stream.write_all(b"GET /health HTTP/1.1\r\nx-slow: ").await;
    stream
}

/// What comes until the server closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let end = timeout(DEADLINE, stream.read_to_end(&mut read)).await;
    let _ = end.expect("the server ends the connection");
    String::from_utf8_lossy(&read).into_owned()
}

/// Whether the server has not closed the connection.
fn is_open(stream: &TcpStream) -> bool {
    let mut byte = [0; 1];
    match stream.try_read(&mut byte) {
        Ok(_) => false,
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    }
}

async fn health(app: &App, from: IpAddr) -> String {
    let mut stream = connect(app, from).await;
    let request = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    rest(&mut stream).await
}

/// A service with the default limits of connections, but all the time in the world for a head.
fn patient() -> Setup {
    Setup::default()
        .set("server.max_connections_per_client", 256)
        .set("server.header_timeout_seconds", 3_600)
}

/// Finding 11: one client holds 256 connections at most, and another is answered meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn health_answers_beside_4096_half_open_heads_of_another_client() {
    let app = App::with(patient()).await;
    let mut heads = Vec::new();
    for _ in 0..4_096 {
        heads.push(half_open(&app, client_address(1)).await);
    }
    let open = eventually("all but 256 are closed", async || {
        let open = heads.iter().filter(|head| is_open(head)).count();
        (open <= 256).then_some(open)
    })
    .await;
    assert_eq!(open, 256);
    let began = std::time::Instant::now();
    let answer = health(&app, client_address(2)).await;
    println!("/health beside 4,096 half-open heads: {:.1?}", began.elapsed());
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(heads.iter().filter(|head| is_open(head)).count(), 256);
    let mut more = connect(&app, client_address(1)).await;
    let refused = rest(&mut more).await;
    assert!(
        refused.is_empty() || refused.starts_with("HTTP/1.1 429"),
        "{refused}"
    );
}

/// Finding 11: a few clients that fill every place give way to one that has none.
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_of_many_clients_give_way_to_a_new_client() {
    let setup = patient()
        .set("server.max_connections", 8)
        .set("server.max_connections_per_client", 4);
    let app = App::with(setup).await;
    let mut heads = Vec::new();
    for client in [2, 3] {
        for _ in 0..4 {
            heads.push(half_open(&app, client_address(client)).await);
        }
    }
    for client in 4..20 {
        let answer = health(&app, client_address(client)).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert!(heads.iter().any(is_open), "they are cut only as far as needed");
}

/// Finding 11: a head must be complete in ten seconds, unless the setting says otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn heads_and_connections_have_the_documented_bounds_by_default() {
    let mut config = Config::load(App::start().await.around.sources()).unwrap().server;
    assert_eq!(config.header_timeout, Duration::from_secs(10));
    config = Config::load(
        haithe_tests::app::Surroundings::prepare(patient())
            .await
            .sources(),
    )
    .unwrap()
    .server;
    assert_eq!(config.header_timeout, Duration::from_secs(3_600));
    assert_eq!(config.max_connections_per_client, 256);
}

/// Finding 11: only trusted proxies, which carry many clients, have no limit of their own.
#[tokio::test(flavor = "multi_thread")]
async fn trusted_proxies_have_no_limit_of_connections() {
    let trusted = toml::Value::Array(vec!["127.0.0.9".into()]);
    let setup = patient()
        .set("server.max_connections_per_client", 2)
        .set("server.trusted_proxies", trusted);
    let app = App::with(setup).await;
    let mut proxied = Vec::new();
    for _ in 0..10 {
        proxied.push(half_open(&app, client_address(9)).await);
    }
    let answer = health(&app, client_address(9)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(proxied.iter().all(is_open));
    let _own = [
        half_open(&app, client_address(1)).await,
        half_open(&app, client_address(1)).await,
    ];
    let mut third = connect(&app, client_address(1)).await;
    let refused = rest(&mut third).await;
    assert!(
        refused.is_empty() || refused.starts_with("HTTP/1.1 429"),
        "{refused}"
    );
}

/// The head of a call with a body of this length, of the caller with this key.
fn head(key: &str, length: usize) -> Vec<u8> {
    format!(
        "POST /api/v1beta/openai/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
    .into_bytes()
}

/// Finding 11: a call that has no place is refused by its head; its 4 MiB are not waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_a_place_is_refused_before_its_body() {
    let app = App::with(Setup::default().set("limits.concurrent_per_organization", 1)).await;
    let tenant = app.funded("acme", Usdt::whole(10)).await;
    let key = tenant.project_key().await;
    app.upstream.next([Script::hang()]);
    let caller: Client = tenant.caller.clone();
    let waiting = tokio::spawn(async move { caller.chat(&question(models::PER_CALL.1)).try_send().await });
    eventually("the first call is with the provider", async || {
        (app.upstream.count() > 0).then_some(())
    })
    .await;
    let mut second = connect(&app, client_address(2)).await;
    second.write_all(&head(&key, 4 << 20)).await.unwrap();
    let mut start = [0; 12];
    let read = timeout(DEADLINE, second.read_exact(&mut start)).await;
    read.expect("the answer does not wait for the body").unwrap();
    assert_eq!(&start, b"HTTP/1.1 429");
    waiting.abort();
}

/// Finding 11: the bodies of one client take a quarter of the memory for bodies, whatever it sends.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_one_client_leave_memory_for_another() {
    let setup = Setup::default().set("server.max_buffered_body_bytes", 16 << 20);
    let app = App::with(setup).await;
    let tenant = app.funded("acme", Usdt::whole(10)).await;
    let key = tenant.project_key().await;
    // Three bodies of 4 MiB that stop short of their last byte.
    let mut flood = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(&app, client_address(2)).await;
        stream.write_all(&head(&key, 4 << 20)).await.unwrap();
        let body = vec![b' '; (4 << 20) - 1];
        // The server may answer, and close, before it has all of it.
        let _ = timeout(DEADLINE, stream.write_all(&body))
            .await
            .expect("it is read or closed");
        flood.push(stream);
    }
    eventually("two are refused", async || {
        let refused = flood.iter().filter(|stream| !is_open(stream)).count();
        (refused == 2).then_some(())
    })
    .await;
    let other = tenant.caller.chat(&question(models::PER_CALL.1)).send().await;
    assert_eq!(other.status, 200, "another client is answered");
}

/// Finding 11: without a credential nobody has 64 KiB buffered.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_a_credential_is_small() {
    let app = App::start().await;
    let body = serde_json::json!({"address": "0x", "signature": "0".repeat(65_536)});
    let login = app.anonymous().post("/v1/auth/login").json(&body);
    login.refused(413, "request_too_large").await;
}
