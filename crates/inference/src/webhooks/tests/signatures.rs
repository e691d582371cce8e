//! Signatures, secrets and addresses.

use super::*;

/// The example of the Standard Webhooks libraries.
#[test]
fn the_standard_s_own_example_verifies() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let bytes = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let secret = WebhookSecret::new(bytes).unwrap();
    let signed = Signed::read(
        Some("msg_p5jXN8AQM9LWM0D4loKWxJek"),
        Some("1614265330"),
        Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    )
    .unwrap();
    assert!(signed.verifies(&secret, b"{\"test\": 2432232314}"));
    assert!(!signed.verifies(&secret, b"{\"test\": 2432232315}"));
    assert_eq!(
        secret.text().expose_secret(),
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    );
}

#[test]
fn one_good_signature_among_several_is_enough() {
    let [id, time, signature] = sign(&secret(1), "msg_1", NOW, PAYLOAD);
    let [_, _, other] = sign(&secret(2), "msg_1", NOW, PAYLOAD);
    for (header, good) in [
        (format!("{} {}", other.1, signature.1), true),
        (format!("v1a,AAAA {} v1,AAAA", signature.1), true),
        (format!("{} {}", other.1, other.1), false),
        (signature.1.replacen("v1,", "v1,v1,", 1) + " " + &other.1, false),
    ] {
        let signed = Signed::read(Some(&id.1), Some(&time.1), Some(&header)).unwrap();
        assert_eq!(signed.verifies(&secret(1), PAYLOAD), good, "{header}");
    }
}

#[test]
fn headers_that_are_absent_or_malformed_are_refused() {
    let good = sign(&secret(1), "msg_1", NOW, PAYLOAD);
    let [id, time, signature] = &good;
    let long = "i".repeat(257);
    let many = vec![signature.1.as_str(); 17].join(" ");
    for (id, time, signature) in [
        (None, Some(time.1.as_str()), Some(signature.1.as_str())),
        (Some(id.1.as_str()), None, Some(signature.1.as_str())),
        (Some(id.1.as_str()), Some(time.1.as_str()), None),
        (Some(""), Some(&time.1), Some(&signature.1)),
        (Some("msg.1"), Some(&time.1), Some(&signature.1)),
        (Some("msg 1"), Some(&time.1), Some(&signature.1)),
        (Some(&long), Some(&time.1), Some(&signature.1)),
        (Some(&id.1), Some(""), Some(&signature.1)),
        (Some(&id.1), Some("+1700000000"), Some(&signature.1)),
        (Some(&id.1), Some("1700000000.0"), Some(&signature.1)),
        (Some(&id.1), Some("17000000000000"), Some(&signature.1)),
        (Some(&id.1), Some(&time.1), Some("")),
        (Some(&id.1), Some(&time.1), Some("v1")),
        (Some(&id.1), Some(&time.1), Some("v1,!")),
        (Some(&id.1), Some(&time.1), Some("v2,AAAA")),
        (Some(&id.1), Some(&time.1), Some(&many)),
    ] {
        let refused = Signed::read(id, time, signature).unwrap_err();
        assert_eq!(
            refused.code(),
            "webhook_unsigned",
            "{id:?} {time:?} {signature:?}"
        );
    }
}

proptest! {
    #[test]
    fn only_what_was_signed_verifies(
        payload in proptest::collection::vec(any::<u8>(), 0..100),
        other in proptest::collection::vec(any::<u8>(), 0..100),
        bit in 0usize..256,
    ) {
        let by = secret(1);
        let signed = signed(&by, NOW, &payload);
        prop_assert!(signed.verifies(&by, &payload));
        prop_assert_eq!(signed.verifies(&by, &other), payload == other);
        let mut key = by.expose().to_vec();
        key[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!signed.verifies(&WebhookSecret::new(key).unwrap(), &payload));
    }

    #[test]
    fn no_header_makes_it_panic(id in ".{0,40}", time in ".{0,20}", signature in ".{0,80}") {
        let _ = Signed::read(Some(&id), Some(&time), Some(&signature));
    }
}

#[test]
fn an_empty_or_short_secret_is_none_and_none_prints() {
    for bytes in [0, 1, 23, 65] {
        assert!(WebhookSecret::new(vec![1; bytes]).is_err(), "{bytes}");
    }
    assert!(!format!("{:?}", secret(0xab)).contains("171"));
    assert_ne!(secret(1).for_deliveries().expose(), secret(1).expose());
}

#[test]
fn a_delivery_address_is_a_plain_web_address() {
    for good in ["https://a.example/x?y=1", "http://a.example:8080/"] {
        assert!(good.parse::<DeliveryUrl>().is_ok(), "{good}");
    }
    let long = format!("https://a.example/{}", "x".repeat(2_048));
    for bad in [
        "",
        "a.example",
        "ftp://a.example/",
        "file:///etc/passwd",
        "https://user@a.example/",
        "https://user:secret@a.example/",
        "https://a.example/#here",
        "https://a.example/\n",
        " https://a.example/",
        &long,
    ] {
        let refused = bad.parse::<DeliveryUrl>().unwrap_err();
        assert_eq!(refused.code(), "invalid_url", "{bad}");
    }
}
