//! The sealed form: vectors of fixed keys, and what anybody may have done to the bytes.

use super::*;
use haithe_kernel::WalletAddress;
use proptest::prelude::*;
use serde_json::Value;

/// The vectors of `docs/SEALING.md`, which the JavaScript example makes and opens, too.
const VECTORS: &str = include_str!("../../../../tests/sdk/sealing/vectors.json");

fn vectors() -> Vec<Value> {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    vectors.as_array().unwrap().clone()
}

fn text<'v>(vector: &'v Value, name: &str) -> &'v str {
    vector[name].as_str().unwrap_or_else(|| panic!("no {name}"))
}

fn bytes<const N: usize>(vector: &Value, name: &str) -> [u8; N] {
    hex::decode(text(vector, name)).unwrap().try_into().unwrap()
}

struct Case {
    enclave: EnclaveSecretKey,
    creator: WalletAddress,
    key: ContentKey,
    wrapped: WrappedKey,
    sealed: Vec<u8>,
}

fn case(content: &[u8]) -> Case {
    let enclave = EnclaveSecretKey::new(&[7; 32]).unwrap();
    let creator = WalletAddress::new([3; 20]);
    let key = ContentKey::new([5; 32]);
    Case {
        wrapped: enclave.public_key().wrap(&key, creator, &[9; 32]).unwrap(),
        sealed: seal(content, &key, [1; 12]).unwrap(),
        enclave,
        creator,
        key,
    }
}

#[test]
fn fixed_keys_give_the_documented_bytes_and_these_open() {
    for vector in vectors() {
        let enclave = EnclaveSecretKey::new(&bytes(&vector, "enclave_secret_key")).unwrap();
        assert_eq!(
            enclave.public_key().to_string(),
            text(&vector, "enclave_public_key")
        );
        assert_eq!(enclave.public_key().id().to_string(), text(&vector, "key_id"));
        let creator: WalletAddress = text(&vector, "creator").parse().unwrap();
        let key = ContentKey::new(bytes(&vector, "content_key"));
        let wrapped = enclave
            .public_key()
            .wrap(&key, creator, &bytes(&vector, "ephemeral_secret_key"))
            .unwrap();
        assert_eq!(wrapped.to_string(), text(&vector, "wrapped_key"));
        let content = text(&vector, "content").as_bytes();
        let sealed = seal(content, &key, bytes(&vector, "nonce")).unwrap();
        assert_eq!(hex::encode(&sealed), text(&vector, "sealed_content"));

        let read: WrappedKey = text(&vector, "wrapped_key").to_uppercase().parse().unwrap();
        let opened = enclave.unwrap(&read, creator).unwrap();
        assert_eq!(
            &*SealedContent::parse(&sealed).unwrap().open(&opened).unwrap(),
            content
        );
    }
}

#[test]
fn the_document_shows_the_first_vector() {
    let document = include_str!("../../../../docs/SEALING.md").replace(['\n', ' '], "");
    let vectors = vectors();
    for name in [
        "enclave_public_key",
        "key_id",
        "creator",
        "wrapped_key",
        "sealed_content",
    ] {
        assert!(
            document.contains(text(&vectors[0], name)),
            "docs/SEALING.md lacks {name}"
        );
    }
}

#[test]
fn a_key_wrapped_for_one_creator_opens_for_no_other() {
    let case = case(b"x");
    assert_eq!(
        case.enclave.unwrap(&case.wrapped, case.creator).unwrap(),
        case.key
    );
    let thief = WalletAddress::new([4; 20]);
    assert_eq!(
        case.enclave.unwrap(&case.wrapped, thief).unwrap_err(),
        SealingError::KeyRefused
    );
}

#[test]
fn another_enclave_says_whose_key_it_would_take() {
    let case = case(b"x");
    let other = EnclaveSecretKey::new(&[8; 32]).unwrap();
    let refused = other.unwrap(&case.wrapped, case.creator).unwrap_err();
    assert_eq!(
        refused,
        SealingError::OtherEnclave(case.enclave.public_key().id())
    );
    assert!(
        refused
            .to_string()
            .contains(&case.enclave.public_key().id().to_string())
    );
}

#[test]
fn what_is_not_sealed_is_told_apart() {
    let sealed = case(b"content").sealed;
    let refusal = |bytes: &[u8]| SealedContent::parse(bytes).unwrap_err();
    assert_eq!(refusal(b""), SealingError::NotSealed);
    assert_eq!(refusal(b"[\"be kind\"]"), SealingError::NotSealed);
    assert_eq!(refusal(b"HSC\x01"), SealingError::Short);
    let with = |at: usize, value: u8| {
        let mut changed = sealed.clone();
        changed[at] = value;
        changed
    };
    assert_eq!(refusal(&with(3, 2)), SealingError::Version(2));
    assert_eq!(refusal(&with(4, 9)), SealingError::Suite(9));
    assert_eq!(refusal(&with(6, 1)), SealingError::Reserved);
    assert_eq!(refusal(&sealed[..SealedContent::OVERHEAD]), SealingError::Short);
    let huge = vec![0; SealedContent::OVERHEAD + MOST_PLAINTEXT + 1];
    let mut huge_sealed = sealed[..20].to_vec();
    huge_sealed.extend(&huge[20..]);
    assert_eq!(refusal(&huge_sealed), SealingError::TooLarge(MOST_PLAINTEXT));
    assert_eq!(
        seal(b"", &ContentKey::new([1; 32]), [0; 12]),
        Err(SealingError::Empty)
    );
}

#[test]
fn keys_off_the_curve_are_no_keys() {
    assert_eq!(EnclaveSecretKey::new(&[0; 32]).unwrap_err(), SealingError::Key);
    assert_eq!(EnclaveSecretKey::new(&[0xff; 32]).unwrap_err(), SealingError::Key);
    for text in [String::new(), "04".repeat(65), format!("02{}", "11".repeat(32))] {
        assert_eq!(text.parse::<EnclavePublicKey>(), Err(SealingError::Key));
    }
    let mut wrapped = case(b"x").wrapped.to_bytes();
    wrapped[12..45].fill(0xff);
    assert_eq!(WrappedKey::parse(&wrapped), Err(SealingError::Key));
    let public = EnclaveSecretKey::new(&[7; 32]).unwrap().public_key();
    assert_eq!(public.to_string().parse(), Ok(public));
}

#[test]
fn nothing_secret_prints() {
    let case = case(b"confidential");
    let opened = SealedContent::parse(&case.sealed)
        .unwrap()
        .open(&case.key)
        .unwrap();
    assert_eq!(format!("{opened:?}"), "Plaintext(12 bytes)");
    assert_eq!(format!("{:?}", case.key), "ContentKey");
    let secret = format!("{:?}", case.enclave);
    assert!(!secret.contains("0707"), "{secret}");
}

proptest! {
    #[test]
    fn what_is_sealed_opens(content in proptest::collection::vec(any::<u8>(), 1..2_000)) {
        let case = case(&content);
        let wrapped: WrappedKey = case.wrapped.to_string().parse().unwrap();
        let key = case.enclave.unwrap(&wrapped, case.creator).unwrap();
        let opened = SealedContent::parse(&case.sealed).unwrap().open(&key).unwrap();
        prop_assert_eq!(&*opened, &content[..]);
    }

    #[test]
    fn a_single_changed_bit_opens_nothing(
        content in proptest::collection::vec(any::<u8>(), 1..200), at in any::<prop::sample::Index>(), bit in 0..8u8,
    ) {
        let case = case(&content);
        let mut sealed = case.sealed.clone();
        sealed[at.index(case.sealed.len())] ^= 1 << bit;
        let opened = SealedContent::parse(&sealed).and_then(|sealed| sealed.open(&case.key));
        prop_assert!(opened.is_err());

        let mut wrapped = case.wrapped.to_bytes();
        wrapped[at.index(WrappedKey::LENGTH)] ^= 1 << bit;
        let opened = WrappedKey::parse(&wrapped).and_then(|key| case.enclave.unwrap(&key, case.creator));
        prop_assert!(opened.is_err());
    }

    #[test]
    fn any_bytes_are_read_without_a_panic_and_a_key_reads_back(
        bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,200}",
    ) {
        let _ = SealedContent::parse(&bytes);
        let mut sealed = b"HSC\x01\x01\0\0\0".to_vec();
        sealed.extend(&bytes);
        if let Ok(read) = SealedContent::parse(&sealed) {
            prop_assert!(read.open(&ContentKey::new([0; 32])).is_err());
        }
        let mut wrapped = b"HWK\x01".to_vec();
        wrapped.extend(&bytes);
        for bytes in [&bytes, &wrapped] {
            if let Ok(key) = WrappedKey::parse(bytes) {
                prop_assert_eq!(&key.to_bytes(), bytes);
            }
        }
        let _ = text.parse::<WrappedKey>();
        let _ = text.parse::<EnclavePublicKey>();
    }
}
