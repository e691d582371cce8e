//! An attestation agent on loopback, in the shape of Marlin Oyster's: it puts what it is asked for
//! into a Nitro document, whose signature nobody could verify.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use url::Url;

/// What the agent does with a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Conduct {
    /// A document about what was asked.
    #[default]
    Honest,
    /// A document about another key.
    OtherKey,
    /// A document made for another nonce.
    OtherNonce,
    /// These bytes of an HTTP answer.
    Says(Vec<u8>),
}

/// The agent. Dropping it closes its port.
#[derive(Debug)]
pub struct Agent {
    address: SocketAddr,
    conduct: Arc<Mutex<Conduct>>,
    asked: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Agent {
    /// An honest agent on a port of its own.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (conduct, asked) = (Arc::<Mutex<Conduct>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (behave, remember) = (Arc::clone(&conduct), Arc::clone(&asked));
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let line = head.lines().next().unwrap_or_default().to_owned();
                let answer = answer(&behave.lock().expect("no panic").clone(), &line);
                remember.lock().expect("no panic").push(line);
                // The client may have gone.
                let _ = stream.write_all(&answer).await;
            }
        });
        Self {
            address,
            conduct,
            asked,
            server,
        }
    }

    /// Its address.
    pub fn url(&self) -> Url {
        format!("http://{}/", self.address).parse().expect("an address")
    }

    /// From now on it does this.
    pub fn conduct(&self, conduct: Conduct) {
        *self.conduct.lock().expect("no panic") = conduct;
    }

    /// The request lines so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

fn answer(conduct: &Conduct, line: &str) -> Vec<u8> {
    if let Conduct::Says(bytes) = conduct {
        return bytes.clone();
    }
    let target = line.split(' ').nth(1).unwrap_or_default();
    let url: Url = format!("http://agent{target}").parse().expect("a target");
    if url.path() != "/attestation/raw" {
        return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec();
    }
    let parameter = |name: &str| {
        let pair = url.query_pairs().find(|(key, _)| key == name)?;
        Some(hex::decode(&*pair.1).expect("hexadecimal digits"))
    };
    let (mut key, mut data) = (parameter("public_key"), parameter("user_data"));
    match conduct {
        Conduct::OtherKey => key = Some(vec![4; 65]),
        Conduct::OtherNonce => data = Some(vec![0; 32]),
        _ => {}
    }
    let document = document(key.as_deref(), data.as_deref());
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        document.len()
    )
    .into_bytes();
    answer.extend(document);
    answer
}

/// COSE_Sign1 as the Nitro Secure Module writes it: untagged, ES384, no unprotected headers.
fn document(public_key: Option<&[u8]>, user_data: Option<&[u8]>) -> Vec<u8> {
    let mut payload = vec![0xa4];
    payload.extend(text("module_id"));
    payload.extend(text("i-0f1cd77d37fd8bcc9-enc018e7aa61e2040ff"));
    payload.extend(text("digest"));
    payload.extend(text("SHA384"));
    for (name, value) in [("public_key", public_key), ("user_data", user_data)] {
        payload.extend(text(name));
        payload.extend(value.map_or_else(|| vec![0xf6], bytes));
    }
    let mut document = vec![0x84];
    document.extend(bytes(&[0xa1, 0x01, 0x38, 0x22]));
    document.push(0xa0);
    document.extend(bytes(&payload));
    document.extend(bytes(&[0x5a; 96]));
    document
}

/// A CBOR item's head (RFC 8949 §3) for lengths below 65,536.
fn head(major: u8, length: usize) -> Vec<u8> {
    let length = u16::try_from(length).expect("a short item");
    let [high, low] = length.to_be_bytes();
    match (length, high) {
        (0..=23, _) => vec![major << 5 | low],
        (_, 0) => vec![major << 5 | 24, low],
        _ => vec![major << 5 | 25, high, low],
    }
}

fn bytes(value: &[u8]) -> Vec<u8> {
    [head(2, value.len()), value.to_vec()].concat()
}

fn text(value: &str) -> Vec<u8> {
    [head(3, value.len()), value.as_bytes().to_vec()].concat()
}
