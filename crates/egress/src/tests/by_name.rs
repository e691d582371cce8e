//! What name servers answer cannot lead inside: a real one on loopback, asked over UDP by the client.

use super::{OK, answer, dns::Server, get, listen};
use crate::{Egress, Policy};
use haithe_kernel::{FetchError, Fetcher};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::net::TcpListener;

const PUBLIC: &str = "93.184.215.14";
const PUBLIC_SIX: &str = "2606:4700:4700::1111";

/// Inside, with the addresses of other computers in ranges that are nobody's to route.
const INSIDE: [&str; 28] = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.0.0.2",
    "127.1.2.3",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
];

const INSIDE_SIX: [&str; 16] = [
    "::",
    "::1",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "64:ff9b:1::1",
    "fec0::1",
    "5f00::1",
    "2001:20::1",
    "2002:7f00:1::1",
    "2620:4f:8000::1",
    "4000::1",
];

/// Every form of an answer that leads inside: what the name has, at its first and at its second lookup.
/// A name `alias-…` is another word for what the first word behind it says.
fn forms() -> Vec<Vec<Vec<String>>> {
    let once = |records: &[&str]| vec![records.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()];
    let mut forms = Vec::new();
    for inside in INSIDE {
        let address: Ipv4Addr = inside.parse().unwrap();
        let mapped = address.to_ipv6_mapped().to_string();
        let [a, b, c, d] = address.octets();
        let translated = format!("64:ff9b::{a:02x}{b:02x}:{c:02x}{d:02x}");
        forms.extend([
            once(&[inside]),
            once(&[PUBLIC, inside]),
            once(&[inside, PUBLIC]),
            once(&[PUBLIC, PUBLIC_SIX, "93.184.215.15", inside]),
            once(&[&mapped]),
            once(&[PUBLIC, &mapped]),
            once(&[&translated]),
            once(&[&format!("alias-1-{inside}")]),
            once(&[&format!("alias-3-{inside}")]),
            // Public as long as it is looked at, and inside when it is called.
            vec![vec![PUBLIC.to_owned()], vec![inside.to_owned()]],
            vec![
                vec![PUBLIC.to_owned()],
                vec![PUBLIC.to_owned(), inside.to_owned()],
            ],
        ]);
    }
    for inside in INSIDE_SIX {
        forms.extend([
            once(&[inside]),
            once(&[PUBLIC, inside]),
            once(&[PUBLIC_SIX, inside]),
            once(&[&format!("alias-2-{inside}")]),
            vec![vec![PUBLIC_SIX.to_owned()], vec![inside.to_owned()]],
        ]);
    }
    for name in ["localhost", "metadata.google.internal", "router.lan", "db"] {
        forms.push(once(&[name]));
        forms.push(once(&[PUBLIC, name]));
    }
    forms
}

/// Puts the form into the zone under a name of its own.
fn publish(server: &Server, number: usize, form: &[Vec<String>]) -> String {
    let name = format!("form-{number}.example");
    let answers: Vec<Vec<String>> = form
        .iter()
        .map(|answer| {
            let alias = |(place, text): (usize, &String)| match text.strip_prefix("alias-") {
                None => text.clone(),
                Some(rest) => {
                    let (links, inside) = rest.split_once('-').unwrap();
                    chain(
                        server,
                        &format!("{number}-{place}"),
                        links.parse().unwrap(),
                        inside,
                    )
                }
            };
            answer.iter().enumerate().map(alias).collect()
        })
        .collect();
    let answers: Vec<Vec<&str>> = answers
        .iter()
        .map(|answer| answer.iter().map(String::as_str).collect())
        .collect();
    let answers: Vec<&[&str]> = answers.iter().map(Vec::as_slice).collect();
    server.set(&name, &answers);
    name
}

/// The first name of a chain of aliases that ends at the address.
fn chain(server: &Server, stem: &str, links: usize, inside: &str) -> String {
    let name = |link: usize| format!("link-{link}-of-{stem}.example");
    for link in 1..links {
        server.set(&name(link), &[&[&name(link + 1)]]);
    }
    server.set(&name(links), &[&[inside]]);
    name(1)
}

/// Listens wherever this machine would be met, on one port; gives the port and the count of connections.
async fn canaries() -> (u16, Vec<Arc<AtomicUsize>>) {
    let (address, hits, _) = listen("0.0.0.0:0", answer(OK)).await;
    let mut counts = vec![hits];
    // A machine may have no IPv6.
    let six = SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), address.port());
    if TcpListener::bind(six).await.is_ok() {
        counts.push(listen(&six.to_string(), answer(OK)).await.1);
    }
    (address.port(), counts)
}

#[tokio::test]
async fn no_answer_of_a_name_server_leads_inside() {
    let server = Server::start().await;
    let (port, hits) = canaries().await;
    for (name, address) in [
        ("localhost", "127.0.0.1"),
        ("metadata.google.internal", "169.254.169.254"),
        ("router.lan", "192.168.0.1"),
        ("db", "127.0.0.1"),
    ] {
        server.set(name, &[&[address]]);
    }
    let mut policy = Policy::default();
    policy.ports.insert(port);
    let egress = Egress::for_tests(policy, server.resolver(), &[]).unwrap();
    let forms = forms();
    assert!(forms.len() >= 300, "{}", forms.len());
    for (number, form) in forms.iter().enumerate() {
        let name = publish(&server, number, form);
        let url = format!("http://{name}:{port}/");
        if form.len() > 1 {
            let vetted = egress.vet(&url).await;
            assert!(vetted.is_ok(), "{form:?} is public at first: {vetted:?}");
        }
        let refused = egress.fetch(get(&url)).await;
        assert!(
            matches!(refused, Err(FetchError::Refused(_))),
            "{form:?}: {refused:?}"
        );
        assert_eq!(server.asked(&name), form.len(), "each lookup asks once: {form:?}");
    }
    for hits in hits {
        assert_eq!(hits.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn fifty_good_addresses_pass_the_name_server() {
    let server = Server::start().await;
    let egress = Egress::for_tests(Policy::default(), server.resolver(), &[]).unwrap();
    let good: Vec<_> = include_str!("allowed.txt").lines().collect();
    assert_eq!(good.len(), 50);
    for url in good {
        let found = egress.vet(url).await;
        assert!(found.is_ok(), "{url}: {found:?}");
    }
    assert_eq!(
        server.asked("xn--bcher-kva.example"),
        2,
        "also by its Unicode name"
    );
    assert!(
        server.asked("rust-lang.org") > 0,
        "the names were asked for at all"
    );
}

#[tokio::test]
async fn a_name_that_moves_inside_between_two_hops_is_not_followed() {
    let server = Server::start().await;
    let head = answer(OK);
    // The listener at 127.0.0.1 stands for a public address; 127.0.0.2 is inside.
    let (open, reached, _) = listen("127.0.0.1:0", Arc::clone(&head)).await;
    let (_, hits, _) = listen(&format!("127.0.0.2:{}", open.port()), answer(OK)).await;
    let egress = Egress::for_tests(Policy::default(), server.resolver(), &[open]).unwrap();
    server.set("moves.example", &[&["127.0.0.1"], &["127.0.0.1"], &["127.0.0.2"]]);
    let url = format!("http://moves.example:{}/", open.port());
    assert_eq!(egress.fetch(get(&url)).await.unwrap().body, b"ok");
    assert_eq!(server.asked("moves.example"), 1, "one lookup, one connection");

    *head.lock().unwrap() = format!(
        "HTTP/1.1 302 Found\r\nlocation: {url}again\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    let refused = egress.fetch(get(&url)).await;
    assert!(matches!(refused, Err(FetchError::Refused(_))), "{refused:?}");
    assert_eq!(server.asked("moves.example"), 3);
    assert_eq!(
        (reached.load(Ordering::SeqCst), hits.load(Ordering::SeqCst)),
        (2, 0)
    );
}

#[tokio::test]
async fn a_name_server_that_answers_garbage_or_nothing_reaches_nobody() {
    let server = Server::start().await;
    let (port, hits) = canaries().await;
    let mut policy = Policy::default();
    policy.ports.insert(port);
    let egress = Egress::for_tests(policy, server.resolver(), &[]).unwrap();
    server.set("empty.example", &[&[]]);
    server.odd("short.example", b"");
    server.odd("counted.example", &[0x81, 0x80, 0, 1, 0xff, 0xff, 0, 0, 0, 0]);
    server.odd("noise.example", &[0xff; 60]);
    // Aliases in a circle.
    server.set("a.circle.example", &[&["b.circle.example"]]);
    server.set("b.circle.example", &[&["a.circle.example"]]);
    for name in [
        "empty.example",
        "short.example",
        "counted.example",
        "noise.example",
        "a.circle.example",
    ] {
        let failed = egress.fetch(get(&format!("http://{name}:{port}/"))).await;
        assert!(
            matches!(failed, Err(FetchError::Unreachable(_))),
            "{name}: {failed:?}"
        );
    }
    for hits in hits {
        assert_eq!(hits.load(Ordering::SeqCst), 0);
    }
}
