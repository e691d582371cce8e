//! Creators host what they sealed, and learn whether it loads.

use alloy::primitives::U256;
use haithe_kernel::WalletAddress;
use haithe_marketplace::sealing::EnclavePublicKey;
use haithe_tests::{
    app::{App, RECEIVER, Setup, User},
    eventually,
    sealed::Sealed,
};
use http::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const PATH: &str = "/v1/content";

async fn enclave(app: &App) -> EnclavePublicKey {
    let shown = app.anonymous().get("/v1/tee/pub-key").data().await;
    shown["tee_pubkey"].as_str().unwrap().parse().unwrap()
}

async fn host(user: &User, bytes: &[u8]) -> Value {
    let put = user.client.put(PATH).body(bytes.to_vec());
    put.header("content-type", "application/octet-stream")
        .data()
        .await
}

#[tokio::test]
async fn sealed_content_is_kept_once_and_shown_to_anybody_forever() {
    let app = App::start().await;
    let user = creator(&app, 7).await;
    let bytes = Sealed::anything(1_000);
    let hosted = host(&user, &bytes).await;
    let digest = hosted["sha256"].as_str().unwrap();
    assert_eq!(hosted["size"], bytes.len());
    assert_eq!(hosted["uri"], format!("haithe:sha256:{digest}"));
    assert_eq!(hosted["created"], true);
    assert_eq!(host(&user, &bytes).await["created"], false);

    let path = format!("{PATH}/{digest}");
    let shown = app.anonymous().get(&path).send().await;
    assert_eq!(shown.status, 200);
    assert_eq!(shown.body, bytes);
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("cache-control", "public, max-age=31536000, immutable"),
        ("x-content-type-options", "nosniff"),
        ("content-disposition", "attachment"),
        ("etag", &format!("\"{digest}\"")),
    ] {
        assert_eq!(shown.header(name), Some(value), "{name}");
    }
    let head = app.anonymous().ask(Method::HEAD, &path).send().await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    let tag = format!("\"other\", W/\"{digest}\"");
    let known = app
        .anonymous()
        .get(&path)
        .header("if-none-match", &tag)
        .send()
        .await;
    assert_eq!((known.status.as_u16(), known.body.len()), (304, 0));
    let upper = format!("{PATH}/{}", digest.to_uppercase());
    assert_eq!(app.anonymous().get(&upper).send().await.status, 200);

    let missing = format!("{PATH}/{}", "0".repeat(64));
    let gone = app.anonymous().get(&missing).send().await;
    gone.refused(404, "not_found");
    assert_eq!(gone.header("cache-control"), Some("no-store"));
    app.anonymous()
        .get(&format!("{PATH}/etc"))
        .refused(400, "invalid_path")
        .await;
}

#[tokio::test]
async fn nothing_but_the_sealed_form_is_kept() {
    let app = App::with(Setup::default().set("content.max_bytes", 2_000)).await;
    let user = creator(&app, 7).await;
    for plain in [
        &b"[\"be kind\"]"[..],
        b"<script>alert(1)</script>",
        b"",
        b"HSC\x02",
    ] {
        user.client
            .put(PATH)
            .body(plain.to_vec())
            .refused(400, "not_sealed")
            .await;
    }
    let large = Sealed::anything(2_000);
    let put = user.client.put(PATH).body(large);
    put.refused(413, "request_too_large").await;
    let put = app.anonymous().put(PATH).body(Sealed::anything(10));
    put.refused(401, "authentication_required").await;
}

#[tokio::test]
async fn a_wallet_keeps_what_its_quota_allows_and_deletes_its_own_only() {
    let app = App::with(Setup::default().set("content.max_per_wallet", 1)).await;
    let (one, other) = (creator(&app, 7).await, creator(&app, 8).await);
    let bytes = Sealed::anything(10);
    let hosted = host(&one, &bytes).await;
    let path = format!("{PATH}/{}", hosted["sha256"].as_str().unwrap());
    let second = one.client.put(PATH).body(Sealed::anything(10));
    second.refused(409, "too_many_contents").await;
    other.client.delete(&path).refused(404, "not_found").await;
    assert_eq!(host(&other, &bytes).await["created"], true);
    assert_eq!(one.client.delete(&path).data().await, json!({}));
    assert_eq!(app.anonymous().get(&path).send().await.status, 200);
    assert_eq!(other.client.delete(&path).data().await, json!({}));
    app.anonymous().get(&path).refused(404, "not_found").await;
    host(&one, &Sealed::anything(10)).await;
}

/// A creator with a product that is published like this; the product's number.
async fn publish(app: &App, user: &User, name: &str, category: &str, uri: &str, key: &str) -> i64 {
    app.chain
        .add_product_at(&user.wallet, (name, category), (uri, key), U256::from(1u64))
        .await;
    eventually("the product is indexed", async || {
        let synced = user.client.post("/v1/products").data().await;
        let product = &synced["product"];
        (product["name"] == name).then(|| product["id"].as_i64().unwrap())
    })
    .await
}

async fn creator(app: &App, number: u32) -> User {
    let user = app.wallet(number).await;
    let body = json!({"uri": "https://creator.example/me", "pub_key": "04ab"});
    user.client.post("/v1/creator").json(&body).data().await;
    user
}

async fn reason(user: &User, id: i64) -> Option<String> {
    let checked = user
        .client
        .get(&format!("/v1/products/{id}/content"))
        .data()
        .await;
    let reason = checked
        .get("reason")
        .map(|reason| reason.as_str().unwrap().to_owned());
    assert_eq!(checked["loadable"], reason.is_none());
    reason
}

#[tokio::test]
async fn a_creator_seals_hosts_and_publishes_and_is_told_whether_it_loads() {
    let app = App::start().await;
    let user = creator(&app, 7).await;
    let address: WalletAddress = user.address().parse().unwrap();
    let marker = "a-sentence-that-must-stay-in-memory";
    let prompts = json!([format!("Be kind. {marker}")]).to_string();
    let enclave = enclave(&app).await;
    let sealed = Sealed::for_creator(&enclave, address, prompts.as_bytes());
    let uri = format!("haithe:sha256:{}", sealed.digest);
    let good = publish(&app, &user, "good", "promptset", &uri, &sealed.wrapped_key).await;
    let missing = reason(&user, good).await.unwrap();
    assert!(missing.contains("not hosted here"), "{missing}");
    assert_eq!(host(&user, &sealed.bytes).await["uri"], uri.as_str());
    assert_eq!(reason(&user, good).await, None);

    let not_a_tool = publish(&app, &user, "no tool", "tool:rpc", &uri, &sealed.wrapped_key).await;
    let form = reason(&user, not_a_tool).await.unwrap();
    assert!(
        form.contains("documented form") && !form.contains(marker),
        "{form}"
    );
    let odd = publish(
        &app,
        &user,
        "odd",
        "promptset",
        "https://a.example/x",
        &sealed.wrapped_key,
    )
    .await;
    assert!(reason(&user, odd).await.unwrap().contains("#sha256="));

    // Somebody publishes what somebody else sealed: it opens for its creator only.
    let thief = creator(&app, 8).await;
    let copied = publish(&app, &thief, "copied", "promptset", &uri, &sealed.wrapped_key).await;
    let refused = reason(&thief, copied).await.unwrap();
    assert!(refused.contains("another creator"), "{refused}");
    let path = format!("/v1/products/{good}/content");
    thief.client.get(&path).refused(403, "forbidden").await;

    let around = app.stop().await;
    for entry in std::fs::read_dir(around.dir()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(marker.len()).any(|part| part == marker.as_bytes());
        assert!(!found, "content in the clear in {}", path.display());
    }
}

/// Serves these bytes whatever it is asked.
async fn serve(bytes: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request).await;
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                bytes.len()
            );
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&bytes).await;
        }
    });
    address
}

#[tokio::test]
async fn content_elsewhere_is_fetched_through_the_guarded_client_and_pinned_by_its_digest() {
    let creator_number = 7;
    let probe = haithe_tests::wallets::Wallet::number(creator_number);
    let key_hex = haithe_tests::wallets::Wallet::named("enclave").key_hex();
    let secret: [u8; 32] = hex::decode(key_hex).unwrap().try_into().unwrap();
    let enclave = haithe_marketplace::sealing::EnclaveSecretKey::new(&secret)
        .unwrap()
        .public_key();
    let sealed = Sealed::for_creator(&enclave, probe.wallet_address(), b"[\"Be kind.\"]");
    let site = serve(sealed.bytes.clone()).await;
    let setup = Setup {
        receivers: vec![site],
        ..Setup::default()
    };
    let app = App::with(setup).await;
    let user = creator(&app, creator_number).await;
    let at = |host: &str, digest: &str| format!("http://{host}:{}/x#sha256={digest}", site.port());
    let digest = sealed.digest.to_string();
    let key = &sealed.wrapped_key;
    let good = publish(&app, &user, "good", "promptset", &at(RECEIVER, &digest), key).await;
    assert_eq!(reason(&user, good).await, None);
    let other = at(RECEIVER, &"0".repeat(64));
    let changed = publish(&app, &user, "changed", "promptset", &other, key).await;
    assert!(
        reason(&user, changed)
            .await
            .unwrap()
            .contains("not what was published")
    );
    let inside = at("127.0.0.1", &"1".repeat(64));
    let inside = publish(&app, &user, "inside", "promptset", &inside, key).await;
    assert!(reason(&user, inside).await.unwrap().contains("not allowed"));
}
