//! Each field of a text, right and wrong.

use super::draft::{Draft, Spoil, at};
use crate::vectors::{Accepted, Expected, LOGIN_REFUSED, UNREADABLE};
use haithe_tests::wallets::Wallet;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Fields that may be otherwise than in the challenge, and fields that may not.
pub const FIELDS: &[(&str, Expected, Spoil)] = &[
    ("own words", Accepted, |_, _| ()),
    ("no statement", Accepted, |d, _| d.statement = None),
    ("a statement of every character", Accepted, |d, _| {
        d.statement = Some(":/?#[]@!$&'()*+,;= -._~".into());
    }),
    ("a request id", Accepted, |d, _| {
        d.rest.push("Request ID: some-id:7@x".into())
    }),
    ("an empty request id", Accepted, |d, _| {
        d.rest.push("Request ID: ".into())
    }),
    ("resources", Accepted, |d, _| {
        d.rest
            .extend(["Resources:", "- https://a.example/x?y=z#w", "- ipfs://bafy/"].map(String::from));
    }),
    ("no resources in a list", Accepted, |d, _| {
        d.rest.push("Resources:".into())
    }),
    ("everything optional", Accepted, |d, c| {
        d.rest.push(format!("Not Before: {}", at(c, "issued_at", 0)));
        d.rest.push("Request ID: 1".into());
        d.rest.extend(["Resources:", "- urn:x:y"].map(String::from));
    }),
    ("valid since long ago", Accepted, |d, _| {
        d.rest.push("Not Before: 2001-01-01T00:00:00Z".into())
    }),
    ("no expiration", Accepted, |d, _| d.rest.clear()),
    ("an earlier expiration", Accepted, |d, c| {
        d.rest = vec![format!("Expiration Time: {}", at(c, "expiration_time", -60))];
    }),
    ("the scheme of the site", Accepted, |d, _| {
        d.preamble = format!("http://{}", d.preamble)
    }),
    ("another page of the site", Accepted, |d, _| {
        d.uri = "URI: http://localhost:3000/some/page?x=1#y".into();
    }),
    ("times with an offset", Accepted, |d, c| {
        let text = at(c, "issued_at", 0);
        let there = OffsetDateTime::parse(&text, &Rfc3339).unwrap();
        let there = there.to_offset(time::UtcOffset::from_hms(2, 0, 0).unwrap());
        d.issued_at = format!("Issued At: {}", there.format(&Rfc3339).unwrap());
    }),
    ("issued later, within the challenge's life", Accepted, |d, c| {
        d.issued_at = format!("Issued At: {}", at(c, "issued_at", 1).replace('Z', ".25Z"));
    }),
    // The site.
    ("another domain", LOGIN_REFUSED, |d, _| {
        Draft::swap(&mut d.preamble, "localhost:3000", "evil.example")
    }),
    ("another port", LOGIN_REFUSED, |d, _| {
        Draft::swap(&mut d.preamble, "3000", "3001")
    }),
    ("no port", LOGIN_REFUSED, |d, _| {
        Draft::swap(&mut d.preamble, ":3000", "")
    }),
    ("a subdomain", LOGIN_REFUSED, |d, _| {
        Draft::swap(&mut d.preamble, "localhost", "x.localhost")
    }),
    ("a domain that begins the same", LOGIN_REFUSED, |d, _| {
        Draft::swap(&mut d.preamble, "localhost:3000", "localhost.evil.example:3000");
    }),
    ("the domain as a user's name", LOGIN_REFUSED, |d, _| {
        Draft::swap(&mut d.preamble, "localhost:3000", "localhost:3000@evil.example");
    }),
    ("a user's name before the domain", LOGIN_REFUSED, |d, _| {
        Draft::swap(&mut d.preamble, "localhost", "admin@localhost");
    }),
    ("the domain in upper case", LOGIN_REFUSED, |d, _| {
        Draft::swap(&mut d.preamble, "localhost", "LOCALHOST")
    }),
    ("the domain with a dot after", LOGIN_REFUSED, |d, _| {
        Draft::swap(&mut d.preamble, "localhost", "localhost.")
    }),
    ("another scheme", LOGIN_REFUSED, |d, _| {
        d.preamble = format!("https://{}", d.preamble)
    }),
    ("another host in the URI", LOGIN_REFUSED, |d, _| {
        d.uri = "URI: http://evil.example:3000/".into()
    }),
    ("another port in the URI", LOGIN_REFUSED, |d, _| {
        d.uri = "URI: http://localhost:3001/".into()
    }),
    ("another scheme in the URI", LOGIN_REFUSED, |d, _| {
        d.uri = "URI: https://localhost:3000/".into()
    }),
    ("the site as a user's name in the URI", LOGIN_REFUSED, |d, _| {
        d.uri = "URI: http://localhost:3000@evil.example/".into();
    }),
    ("a URI without a host", LOGIN_REFUSED, |d, _| {
        d.uri = "URI: urn:localhost:3000".into()
    }),
    ("a file", LOGIN_REFUSED, |d, _| {
        d.uri = "URI: file:///localhost:3000".into()
    }),
    // The wallet, the chain and the nonce.
    ("another wallet's address", LOGIN_REFUSED, |d, _| {
        d.address = Wallet::named("somebody else").wallet_address().checksummed();
    }),
    ("chain 0", LOGIN_REFUSED, |d, _| d.chain_id = "Chain ID: 0".into()),
    ("chain 1", LOGIN_REFUSED, |d, _| d.chain_id = "Chain ID: 1".into()),
    ("the largest chain", LOGIN_REFUSED, |d, _| {
        d.chain_id = format!("Chain ID: {}", u64::MAX)
    }),
    ("a made-up nonce", LOGIN_REFUSED, |d, _| {
        d.nonce = "Nonce: 0123456789abcdef0123456789abcdef".into()
    }),
    ("a nonce cut short", LOGIN_REFUSED, |d, _| {
        d.nonce.pop();
    }),
    ("a nonce with a digit more", LOGIN_REFUSED, |d, _| {
        d.nonce.push('0')
    }),
    ("the nonce in upper case", LOGIN_REFUSED, |d, _| {
        d.nonce = format!("Nonce: {}X", d.nonce["Nonce: ".len()..].to_uppercase());
    }),
    // Time.
    ("issued before the challenge", LOGIN_REFUSED, |d, c| {
        d.issued_at = format!("Issued At: {}", at(c, "issued_at", -1));
    }),
    ("issued long ago", LOGIN_REFUSED, |d, _| {
        d.issued_at = "Issued At: 1970-01-01T00:00:00Z".into()
    }),
    ("issued after the challenge's end", LOGIN_REFUSED, |d, c| {
        d.issued_at = format!("Issued At: {}", at(c, "expiration_time", 1));
    }),
    ("already over", LOGIN_REFUSED, |d, c| {
        d.rest = vec![format!("Expiration Time: {}", at(c, "issued_at", -1))];
    }),
    ("over when it begins", LOGIN_REFUSED, |d, c| {
        d.rest = vec![format!("Expiration Time: {}", at(c, "issued_at", 0))];
    }),
    ("lasting beyond the challenge", LOGIN_REFUSED, |d, c| {
        d.rest = vec![format!("Expiration Time: {}", at(c, "expiration_time", 1))];
    }),
    ("not valid yet", LOGIN_REFUSED, |d, c| {
        d.rest.push(format!("Not Before: {}", at(c, "issued_at", 120)));
    }),
    // The grammar.
    ("an address in lower case", UNREADABLE, |d, _| {
        d.address = d.address.to_lowercase()
    }),
    ("an address in upper case", UNREADABLE, |d, _| {
        d.address = format!("0x{}", d.address[2..].to_uppercase())
    }),
    ("an address without 0x", UNREADABLE, |d, _| {
        d.address = d.address[2..].to_owned()
    }),
    ("an address with a space after", UNREADABLE, |d, _| {
        d.address.push(' ')
    }),
    ("another sentence", UNREADABLE, |d, _| {
        Draft::swap(&mut d.preamble, "sign in", "log in")
    }),
    ("no colon after the sentence", UNREADABLE, |d, _| {
        d.preamble.pop();
    }),
    ("no domain", UNREADABLE, |d, _| {
        Draft::swap(&mut d.preamble, "localhost:3000", "")
    }),
    ("a domain with a path", UNREADABLE, |d, _| {
        Draft::swap(&mut d.preamble, ":3000", ":3000/x")
    }),
    ("a domain with a space", UNREADABLE, |d, _| {
        Draft::swap(&mut d.preamble, "localhost", "local host")
    }),
    ("a port that is none", UNREADABLE, |d, _| {
        Draft::swap(&mut d.preamble, "3000", "3oo0")
    }),
    ("a scheme that is none", UNREADABLE, |d, _| {
        d.preamble = format!("1http://{}", d.preamble)
    }),
    ("a quotation mark in the statement", UNREADABLE, |d, _| {
        d.statement = Some("\"quoted\"".into())
    }),
    ("a letter beyond ASCII in the statement", UNREADABLE, |d, _| {
        d.statement = Some("für dich".into())
    }),
    ("a tab in the statement", UNREADABLE, |d, _| {
        d.statement = Some("a\tb".into())
    }),
    ("a statement of two lines", UNREADABLE, |d, _| {
        d.statement = Some("one\ntwo".into())
    }),
    ("a statement that adds lines", UNREADABLE, |d, _| {
        d.statement = Some("x\n\nURI: http://evil.example/".into());
    }),
    ("a URI that is none", UNREADABLE, |d, _| {
        d.uri = "URI: localhost".into()
    }),
    ("a URI with a space", UNREADABLE, |d, _| d.uri.push_str("a b")),
    ("a URI with half an escape", UNREADABLE, |d, _| {
        d.uri.push_str("%2")
    }),
    ("no URI", UNREADABLE, |d, _| d.uri = "URI: ".into()),
    ("a label in lower case", UNREADABLE, |d, _| {
        Draft::swap(&mut d.uri, "URI", "uri")
    }),
    ("version 2", UNREADABLE, |d, _| d.version = "Version: 2".into()),
    ("version 1.0", UNREADABLE, |d, _| {
        d.version = "Version: 1.0".into()
    }),
    ("version 01", UNREADABLE, |d, _| d.version = "Version: 01".into()),
    ("a chain in hexadecimal", UNREADABLE, |d, _| {
        d.chain_id = "Chain ID: 0x1".into()
    }),
    ("a negative chain", UNREADABLE, |d, _| {
        d.chain_id = "Chain ID: -1".into()
    }),
    ("a chain beyond 64 bits", UNREADABLE, |d, _| {
        d.chain_id = "Chain ID: 18446744073709551616".into()
    }),
    ("no chain", UNREADABLE, |d, _| d.chain_id = "Chain ID: ".into()),
    ("a nonce of seven letters", UNREADABLE, |d, _| {
        d.nonce = "Nonce: abcdefg".into()
    }),
    ("a nonce with a dash", UNREADABLE, |d, _| d.nonce.push_str("-1")),
    ("a nonce with a space after", UNREADABLE, |d, _| d.nonce.push(' ')),
    ("a date alone", UNREADABLE, |d, _| {
        d.issued_at = "Issued At: 2026-01-01".into()
    }),
    ("a time without a zone", UNREADABLE, |d, _| {
        d.issued_at = "Issued At: 2026-01-01T00:00:00".into()
    }),
    ("a space for the T", UNREADABLE, |d, _| {
        d.issued_at = "Issued At: 2026-01-01 00:00:00Z".into()
    }),
    ("a month that is none", UNREADABLE, |d, _| {
        d.issued_at = "Issued At: 2026-13-01T00:00:00Z".into()
    }),
    ("seconds since 1970", UNREADABLE, |d, _| {
        d.issued_at = "Issued At: 1700000000".into()
    }),
    ("an expiration that is no time", UNREADABLE, |d, _| {
        d.rest = vec!["Expiration Time: never".into()]
    }),
    ("a begin that is no time", UNREADABLE, |d, _| {
        d.rest.push("Not Before: now".into())
    }),
    ("a request id with a space", UNREADABLE, |d, _| {
        d.rest.push("Request ID: a b".into())
    }),
    ("a request id with a slash", UNREADABLE, |d, _| {
        d.rest.push("Request ID: a/b".into())
    }),
    ("a resource that is no URI", UNREADABLE, |d, _| {
        d.rest.extend(["Resources:", "- nothing"].map(String::from));
    }),
    ("a resource without a dash", UNREADABLE, |d, _| {
        d.rest
            .extend(["Resources:", "https://a.example"].map(String::from));
    }),
    ("a resource before its list", UNREADABLE, |d, _| {
        d.rest.push("- https://a.example".into())
    }),
    ("the list's label with a space", UNREADABLE, |d, _| {
        d.rest.push("Resources: ".into())
    }),
    ("fields in another order", UNREADABLE, |d, c| {
        d.rest.insert(0, format!("Not Before: {}", at(c, "issued_at", 0)));
    }),
    ("a field twice", UNREADABLE, |d, _| d.rest.push(d.rest[0].clone())),
    ("a field that there is not", UNREADABLE, |d, _| {
        d.rest.push("Role: admin".into())
    }),
    ("an empty line at the end", UNREADABLE, |d, _| {
        d.rest.push(String::new())
    }),
    ("nonce and chain swapped", UNREADABLE, |d, _| {
        std::mem::swap(&mut d.nonce, &mut d.chain_id)
    }),
    ("too long", UNREADABLE, |d, _| {
        d.statement = Some("a".repeat(9_000))
    }),
];
