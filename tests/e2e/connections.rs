//! Clients that are slow, large or many, as the sockets of the running service meet them.

use haithe_tests::{
    DEADLINE,
    app::{App, Setup},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

async fn connect(app: &App) -> TcpStream {
    let address = app.base.trim_start_matches("http://").trim_end_matches("/api");
    TcpStream::connect(address).await.expect("it listens")
}

/// What comes until the server closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    // A reset is an end as well.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut read))
        .await
        .expect("the server ends the connection");
    String::from_utf8_lossy(&read).into_owned()
}

async fn app() -> App {
    let setup = Setup::default()
        .set("server.header_timeout_seconds", 1)
        .set("server.body_timeout_seconds", 1)
        .set("server.max_header_bytes", 8_192);
    App::with(setup).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_finish_its_head_is_cut() {
    let app = app().await;
    let mut slow = connect(&app).await;
    slow.write_all(b"GET /health HTTP/1.1\r\nx-slow: ").await.unwrap();
    let answer = rest(&mut slow).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_finish_its_body_is_told_and_cut() {
    let app = app().await;
    let mut slow = connect(&app).await;
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                content-length: 100\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.unwrap();
    let answer = rest(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("body_timeout"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed() {
    let app = app().await;
    let mut idle = connect(&app).await;
    idle.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let answer = rest(&mut idle).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_or_has_too_many_lines_is_refused() {
    let app = app().await;
    let large = format!("x-large: {}\r\n", "x".repeat(9_000));
    let many: String = (0..101).map(|line| format!("x-{line}: 1\r\n")).collect();
    for lines in [large, many] {
        let mut client = connect(&app).await;
        let head = format!("GET /health HTTP/1.1\r\nhost: x\r\n{lines}\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        let answer = rest(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_gives_way_to_a_new_client() {
    let app = App::with(Setup::default().set("server.max_connections", 1)).await;
    let mut first = connect(&app).await;
    first
        .write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut some = [0; 12];
    first.read_exact(&mut some).await.unwrap();
    assert_eq!(&some, b"HTTP/1.1 200");
    let mut second = connect(&app).await;
    second
        .write_all(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    assert!(rest(&mut second).await.starts_with("HTTP/1.1 200"));
    rest(&mut first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_told_to_come_by_https_only_where_that_is_wanted() {
    let hsts = "strict-transport-security";
    let app = App::start().await;
    let plain = app.anonymous().get("/v1/models").send().await;
    assert_eq!(plain.header(hsts), None);
    let mut around = app.stop().await;
    around.set("server.hsts_max_age_seconds", 31_536_000);
    let app = App::over(around).await;
    for path in ["/v1/models", "/v1/me", "/nowhere", "//health"] {
        let answer = app.anonymous().get(path).send().await;
        assert_eq!(answer.header(hsts), Some("max-age=31536000"), "{path}");
    }
}
