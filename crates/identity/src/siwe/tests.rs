use super::*;
use proptest::prelude::*;

const ADDRESS: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

fn message() -> SiweMessage {
    SiweMessage {
        scheme: None,
        domain: "app.example".into(),
        address: ADDRESS.parse().unwrap(),
        statement: Some(STATEMENT.into()),
        uri: "https://app.example/login".into(),
        chain_id: 1,
        nonce: "0123456789abcdef".into(),
        issued_at: Timestamp::from_seconds(1_700_000_000),
        expiration_time: Some(Timestamp::from_seconds(1_700_000_300)),
        not_before: None,
        request_id: None,
        resources: None,
    }
}

/// The example of EIP-4361 itself, without its resources' fragment.
const OF_THE_EIP: &str = "service.invalid wants you to sign in with your Ethereum account:\n\
    0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2\n\n\
    I accept the ServiceOrg Terms of Service: https://service.invalid/tos\n\n\
    URI: https://service.invalid/login\nVersion: 1\nChain ID: 1\nNonce: 32891756\n\
    Issued At: 2021-09-30T16:25:24Z\nResources:\n\
    - ipfs://bafybeiemxf5abjwjbikoz4mc3a3dla6ual3jsgpdr4cjr3oz3evfyavhwq/\n\
    - https://example.com/my-web2-claim.json";

#[test]
fn the_text_has_the_lines_of_eip_4361_in_order() {
    let expected = "app.example wants you to sign in with your Ethereum account:\n\
        0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed\n\n\
        Sign in to Haithe. This costs nothing and sends no transaction.\n\n\
        URI: https://app.example/login\nVersion: 1\nChain ID: 1\nNonce: 0123456789abcdef\n\
        Issued At: 2023-11-14T22:13:20Z\nExpiration Time: 2023-11-14T22:18:20Z";
    assert_eq!(message().text(), expected);
}

#[test]
fn the_eips_own_example_is_read_and_written_back() {
    let read: SiweMessage = OF_THE_EIP.parse().unwrap();
    assert_eq!(read.domain, "service.invalid");
    assert_eq!(read.nonce, "32891756");
    assert_eq!(read.resources.as_ref().unwrap().len(), 2);
    assert_eq!(read.text(), OF_THE_EIP);
}

#[test]
fn every_optional_part_may_be_there_or_not() {
    let scheme = OF_THE_EIP.replacen("service", "https://service", 1);
    let read: SiweMessage = scheme.parse().unwrap();
    assert_eq!(read.scheme.as_deref(), Some("https"));
    let unstated = OF_THE_EIP.replacen(
        "I accept the ServiceOrg Terms of Service: https://service.invalid/tos\n",
        "",
        1,
    );
    assert_eq!(unstated.parse::<SiweMessage>().unwrap().statement, None);
    let whole = "localhost:3000 wants you to sign in with your Ethereum account:\n\
        0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2\n\n\n\
        URI: http://localhost:3000\nVersion: 1\nChain ID: 31337\nNonce: abcdefgh\n\
        Issued At: 2021-09-30T16:25:24.123+02:00\nExpiration Time: 2021-09-30t16:25:24z\n\
        Not Before: 2021-09-30T16:25:24-00:00\nRequest ID: \nResources:";
    let read: SiweMessage = whole.parse().unwrap();
    assert_eq!(
        read.issued_at,
        Timestamp::from_micros(1_633_011_924_123_000),
        "at its offset"
    );
    assert_eq!(read.expiration_time, Some(Timestamp::from_seconds(1_633_019_124)));
    assert_eq!(read.request_id.as_deref(), Some(""));
    assert_eq!(read.resources, Some(Vec::new()));
}

#[test]
fn a_line_that_is_not_the_grammars_is_named() {
    for (line, from, to) in [
        (1, "service.invalid wants", "service invalid wants"),
        (1, "account:\n0x", "account\n0x"),
        (1, "service.invalid wants", " wants"),
        (1, "service.invalid wants", "1http://service.invalid wants"),
        (2, "0xC02aaA39", "0xc02aaA39"),
        (2, "0xC02aaA39", "C02aaA39"),
        (2, "Cc2\n", "Cc2 \n"),
        (3, "Cc2\n\n", "Cc2\n"),
        (4, "I accept", "I \"accept\""),
        (4, "I accept", "I accept\r"),
        (4, "I accept", "Ich stimme zu: ü"),
        (5, "/tos\n\nURI", "/tos\nURI"),
        (6, "URI: https://service.invalid", "URI: //service.invalid"),
        (6, "URI: https", "Uri: https"),
        (6, "/login", "/log in"),
        (6, "/login", "/%zz"),
        (7, "Version: 1", "Version: 2"),
        (7, "Version: 1", "Version: 1 "),
        (8, "Chain ID: 1", "Chain ID: "),
        (8, "Chain ID: 1", "Chain ID: -1"),
        (8, "Chain ID: 1", "Chain ID: 0x1"),
        (8, "Chain ID: 1", "Chain ID: 99999999999999999999"),
        (9, "32891756", "3289175"),
        (9, "32891756", "3289-1756"),
        (10, "2021-09-30T", "2021-09-30 "),
        (10, "2021-09-30T", "2021-13-30T"),
        (10, "24Z", "24"),
        (11, "Resources:", "Resources: "),
        (11, "Resources:", "resources:"),
        (11, "Resources:", "Request ID: a b\nResources:"),
        (12, "- ipfs", "-ipfs"),
        (12, "- ipfs://bafy", "- bafy"),
        (13, "- https", "\n- https"),
        (14, ".json", ".json\n"),
    ] {
        let spoilt = OF_THE_EIP.replacen(from, to, 1);
        assert_ne!(spoilt, OF_THE_EIP, "{from:?}");
        let refused = spoilt.parse::<SiweMessage>().unwrap_err();
        assert!(
            matches!(refused, SiweError::Line { number, .. } if number == line),
            "{from:?} → {to:?}: {refused}"
        );
    }
    let swapped = format!(
        "{}\nRequest ID: 1\nNot Before: 2021-09-30T16:25:24Z",
        OF_THE_EIP.split("\nResources").next().unwrap()
    );
    assert!(swapped.parse::<SiweMessage>().is_err(), "the order is the EIP's");
    let long = OF_THE_EIP.replacen("I accept", &"a".repeat(9_000), 1);
    assert_eq!(long.parse::<SiweMessage>(), Err(SiweError::TooLong));
}

#[test]
fn authorities_and_uris_are_those_of_rfc_3986() {
    for authority in [
        "localhost:3000",
        "user:pw@host",
        "[::1]:80",
        "[v7.a:b]",
        "127.0.0.1",
        "h%20st",
        "host:",
    ] {
        assert!(rfc::is_authority(authority), "{authority}");
    }
    for authority in [
        "", "a b", "a/b", "host:8o", "[::1", "[::g]", "a@b@c", ":80", "h%2",
    ] {
        assert!(!rfc::is_authority(authority), "{authority}");
    }
    for uri in [
        "urn:isbn:0451450523",
        "https://a?b=c#d",
        "a:",
        "file:///etc/motd",
        "x://[::1]/y",
    ] {
        assert!(rfc::is_uri(uri), "{uri}");
    }
    for uri in [
        "",
        "a",
        "//a",
        "1a:b",
        "a:b c",
        "a:#b#c",
        "a:\u{e9}",
        "https://[::1/",
    ] {
        assert!(!rfc::is_uri(uri), "{uri}");
    }
}

fn seconds() -> impl Strategy<Value = Timestamp> {
    (0i64..4_000_000_000).prop_map(Timestamp::from_seconds)
}

fn any_message() -> impl Strategy<Value = SiweMessage> {
    let head = (
        proptest::option::of("[a-z][a-z0-9+.-]{0,5}"),
        "[a-z0-9.-]{1,12}(:[0-9]{1,5})?",
        any::<[u8; 20]>(),
        proptest::option::of("[a-zA-Z0-9 .,:/?#!$&'()*+;=_~@\\[\\]-]{1,40}"),
        "[a-z][a-z0-9]{0,4}://[a-z]{1,8}(/[a-z0-9%]{0})?",
        any::<u64>(),
        "[a-zA-Z0-9]{8,24}",
    );
    let tail = (
        seconds(),
        proptest::option::of(seconds()),
        proptest::option::of(seconds()),
        proptest::option::of("[a-zA-Z0-9:@!$&'()*+,;=._~-]{0,12}"),
        proptest::option::of(proptest::collection::vec("[a-z]{1,5}:[a-z0-9/]{0,12}", 0..4)),
    );
    (head, tail).prop_map(|(head, tail)| SiweMessage {
        scheme: head.0,
        domain: head.1,
        address: WalletAddress::new(head.2),
        statement: head.3,
        uri: head.4,
        chain_id: head.5,
        nonce: head.6,
        issued_at: tail.0,
        expiration_time: tail.1,
        not_before: tail.2,
        request_id: tail.3,
        resources: tail.4,
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(message in any_message()) {
        prop_assert_eq!(message.text().parse(), Ok(message));
    }

    #[test]
    fn no_text_panics(text in "(?s).{0,300}") {
        let _ = text.parse::<SiweMessage>();
    }

    #[test]
    fn no_cut_or_changed_byte_panics_or_reads_as_the_same(
        message in any_message(), at: prop::sample::Index, byte in 0u8..128,
    ) {
        let text = message.text();
        let at = at.index(text.len());
        let mut bytes = text.clone().into_bytes();
        let same = bytes[at] == byte;
        bytes[at] = byte;
        let changed = String::from_utf8(bytes).unwrap();
        if !same {
            // Another text says the same only by another case in a time.
            if let Ok(read) = changed.parse::<SiweMessage>() {
                prop_assert!(read != message || changed.eq_ignore_ascii_case(&text));
            }
        }
        let _ = text[..at].parse::<SiweMessage>();
    }
}
