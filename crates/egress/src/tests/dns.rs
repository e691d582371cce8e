//! A name server on loopback (RFC 1035 over UDP) that answers as scripted, and a stub that asks it.

use crate::Resolver;
use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::net::UdpSocket;

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
const IN: u16 = 1;
/// Names of a chain that the server follows for whoever asks.
const LONGEST_CHAIN: usize = 8;

/// What a name has.
#[derive(Debug, Clone)]
pub enum Record {
    Address(IpAddr),
    Alias(String),
}

impl Record {
    /// An address, or else the name that this one is another word for.
    pub fn of(text: &str) -> Self {
        match text.parse() {
            Ok(address) => Self::Address(address),
            Err(_) => Self::Alias(text.to_owned()),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Address(IpAddr::V4(_)) => A,
            Self::Address(IpAddr::V6(_)) => AAAA,
            Self::Alias(_) => CNAME,
        }
    }
}

#[derive(Debug, Default)]
struct Zone {
    /// By name, what it has the first time it is asked for, the second time and so on; the last stays.
    names: HashMap<String, Vec<Vec<Record>>>,
    /// How often each kind of record of each name was asked for.
    asked: HashMap<(String, u16), usize>,
    /// Names that are answered with these bytes behind the header.
    odd: HashMap<String, Vec<u8>>,
}

/// The server. Names that nobody scripted have one public address of each family.
#[derive(Debug, Clone)]
pub struct Server {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

impl Server {
    pub async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: socket.local_addr().unwrap(),
            zone: Arc::default(),
        };
        let zone = Arc::clone(&server.zone);
        tokio::spawn(async move {
            let mut bytes = [0; 512];
            while let Ok((read, from)) = socket.recv_from(&mut bytes).await {
                if let Some(answer) = zone.lock().unwrap().answer(&bytes[..read]) {
                    let _ = socket.try_send_to(&answer, from);
                }
            }
        });
        server
    }

    /// What a name has: one list for each time that it is asked for.
    pub fn set(&self, name: &str, answers: &[&[&str]]) {
        let records = answers
            .iter()
            .map(|answer| answer.iter().map(|text| Record::of(text)).collect());
        self.zone
            .lock()
            .unwrap()
            .names
            .insert(name.to_owned(), records.collect());
    }

    /// A name whose answer is these bytes and no message.
    pub fn odd(&self, name: &str, bytes: &[u8]) {
        self.zone
            .lock()
            .unwrap()
            .odd
            .insert(name.to_owned(), bytes.to_vec());
    }

    /// How often the name's IPv4 addresses were asked for.
    pub fn asked(&self, name: &str) -> usize {
        let zone = self.zone.lock().unwrap();
        zone.asked.get(&(name.to_owned(), A)).copied().unwrap_or(0)
    }

    /// A resolver that asks this server and keeps nothing.
    pub fn resolver(&self) -> Arc<dyn Resolver> {
        Arc::new(Stub(self.address))
    }
}

impl Zone {
    fn answer(&mut self, query: &[u8]) -> Option<Vec<u8>> {
        let question = query.get(12..)?;
        let (name, rest) = read_name(question)?;
        let kind = u16::from_be_bytes(rest.get(..2)?.try_into().ok()?);
        let question = question.get(..question.len() - rest.len() + 4)?;
        let mut answer = query.get(..2)?.to_vec();
        if let Some(odd) = self.odd.get(&name) {
            answer.extend(odd);
            return Some(answer);
        }
        let records = self.records(&name, kind);
        // A response to a recursive query, without an error; one question.
        answer.extend([0x81, 0x80, 0, 1]);
        answer.extend(u16::try_from(records.len()).ok()?.to_be_bytes());
        answer.extend([0; 4]);
        answer.extend(question);
        for (owner, record) in records {
            answer.extend(written(&owner));
            answer.extend(record.kind().to_be_bytes());
            answer.extend(IN.to_be_bytes());
            // Nobody may keep it.
            answer.extend([0; 4]);
            let data = match record {
                Record::Address(IpAddr::V4(address)) => address.octets().to_vec(),
                Record::Address(IpAddr::V6(address)) => address.octets().to_vec(),
                Record::Alias(name) => written(&name),
            };
            answer.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
            answer.extend(data);
        }
        Some(answer)
    }

    /// The records of this kind, and the aliases that lead to them, each with its owner.
    fn records(&mut self, name: &str, kind: u16) -> Vec<(String, Record)> {
        let (mut owner, mut found) = (name.to_owned(), Vec::new());
        for _ in 0..LONGEST_CHAIN {
            let mut next = None;
            for record in self.next(&owner, kind) {
                if let Record::Alias(alias) = &record {
                    next = Some(alias.clone());
                }
                if record.kind() == kind || record.kind() == CNAME {
                    found.push((owner.clone(), record));
                }
            }
            let Some(alias) = next else { break };
            owner = alias;
        }
        found
    }

    fn next(&mut self, name: &str, kind: u16) -> Vec<Record> {
        let times = self.asked.entry((name.to_owned(), kind)).or_default();
        *times += 1;
        match self.names.get(name) {
            Some(answers) => answers[(*times).min(answers.len()) - 1].clone(),
            None => ["93.184.215.14", "2606:4700:4700::1111"].map(Record::of).to_vec(),
        }
    }
}

/// A resolver without a memory, as a system's stub is.
struct Stub(SocketAddr);

#[async_trait::async_trait]
impl Resolver for Stub {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut found = Vec::new();
        for kind in [A, AAAA] {
            found.extend(self.ask(name.trim_end_matches('.'), kind).await?);
        }
        Ok(found)
    }
}

impl Stub {
    async fn ask(&self, name: &str, kind: u16) -> io::Result<Vec<IpAddr>> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        socket.connect(self.0).await?;
        // Recursion desired; one question.
        let mut query = vec![0x4a, 0x17, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend(written(name));
        query.extend(kind.to_be_bytes());
        query.extend(IN.to_be_bytes());
        socket.send(&query).await?;
        let mut bytes = [0; 1500];
        let read = tokio::time::timeout(Duration::from_secs(2), socket.recv(&mut bytes)).await??;
        addresses(&bytes[..read]).ok_or_else(|| io::Error::other("the name server answers garbage"))
    }
}

/// Every address of an answer, whoever in the chain of aliases owns it.
fn addresses(message: &[u8]) -> Option<Vec<IpAddr>> {
    let count = u16::from_be_bytes(message.get(6..8)?.try_into().ok()?);
    let (_, rest) = read_name(message.get(12..)?)?;
    let mut rest = rest.get(4..)?;
    let mut found = Vec::new();
    for _ in 0..count {
        let (_, record) = read_name(rest)?;
        let kind = u16::from_be_bytes(record.get(..2)?.try_into().ok()?);
        let length = u16::from_be_bytes(record.get(8..10)?.try_into().ok()?);
        let data = record.get(10..10 + usize::from(length))?;
        match kind {
            A => found.push(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into()),
            AAAA => found.push(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into()),
            _ => {}
        }
        rest = record.get(10 + usize::from(length)..)?;
    }
    Some(found)
}

/// A name as it stands in a message.
fn written(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// A name without pointers, and what follows it.
fn read_name(mut bytes: &[u8]) -> Option<(String, &[u8])> {
    let mut labels = Vec::new();
    loop {
        let (length, rest) = bytes.split_first()?;
        if *length == 0 {
            return Some((labels.join("."), rest));
        }
        labels.push(String::from_utf8_lossy(rest.get(..usize::from(*length))?).to_lowercase());
        bytes = rest.get(usize::from(*length)..)?;
    }
}
