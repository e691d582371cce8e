use super::*;
use crate::capture::{CallOutcome, LineItem, Payee, TokenUsage, UsageRecord};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{ModelId, ProductId, ProjectId, Timestamp};
use proptest::prelude::*;
use sha2::Sha256;
use uuid::Uuid;

fn context() -> ReceiptContext {
    ReceiptContext {
        chain_id: 31_337,
        orchestrator: WalletAddress::new([0x0a; 20]),
        org_uid: OrgUid::new(Uuid::from_bytes([0x0b; 16])),
        org_address: WalletAddress::new([0x0c; 20]),
    }
}

fn capture() -> Capture {
    Capture {
        call: CallId(Uuid::from_bytes([
            1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
        ])),
        org: OrgId(4),
        expenditure: crate::ExpenditureScope::Organization,
        lines: vec![
            PriceLine {
                payee: Payee::Platform,
                item: LineItem::ModelTokens,
                amount: Usdt::from_nano(1_500),
            },
            PriceLine {
                payee: Payee::Creator(WalletAddress::new([0x0d; 20])),
                item: LineItem::Product(ProductId(9)),
                amount: Usdt::from_nano(500),
            },
            PriceLine {
                payee: Payee::Organization(OrgId(8)),
                item: LineItem::Project(ProjectId(7)),
                amount: Usdt::ZERO,
            },
        ],
        usage: UsageRecord {
            project: ProjectId(7),
            wallet: WalletAddress::new([0x0e; 20]),
            api_key: Some(ApiKeyId(3)),
            model: ModelId(1),
            model_name: "gemini-2.0-flash".to_owned(),
            provider: "google".to_owned(),
            tokens: TokenUsage {
                input: 12,
                cached: 2,
                output: 34,
                reasoning: 5,
            },
            estimated: false,
            streamed: true,
            outcome: CallOutcome::Complete,
            request_hash: [0x11; 32],
            response_hash: [0x22; 32],
            started_at: Timestamp::from_seconds(1_700_000_000),
            finished_at: Timestamp::from_micros(1_700_000_001_250_000),
        },
    }
}

const CAPTURED: Captured = Captured {
    charged: Usdt::from_nano(2_000),
    lost: Usdt::ZERO,
    spent_before: Usdt::ZERO,
};

fn sealed() -> SealedReceipt {
    SealedReceipt::seal(&context(), &capture(), &CAPTURED, &capture().lines)
}

#[test]
fn the_document_says_everything_in_one_canonical_line() {
    let expected = concat!(
        r#"{"api_key":"3","chain_id":"31337","charged_nano":"2000","estimated":false,"#,
        r#""finished_at":"2023-11-14T22:13:21.25Z","id":"01020304-0506-0708-090a-0b0c0d0e0f10","#,
        r#""ledger_transaction":"call/01020304-0506-0708-090a-0b0c0d0e0f10","lines":["#,
        r#"{"amount_nano":"1500","item":"model_tokens","payee":"platform"},"#,
        r#"{"amount_nano":"500","item":"product/9","payee":"creator/0x0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d"},"#,
        r#"{"amount_nano":"0","item":"project/7","payee":"organization/8"}],"lost_nano":"0","#,
        r#""model":"gemini-2.0-flash","orchestrator":"0x0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a","#,
        r#""organization":{"address":"0x0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c","#,
        r#""uid":"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"},"outcome":"complete","project":"7","provider":"google","#,
        r#""request_sha256":"1111111111111111111111111111111111111111111111111111111111111111","#,
        r#""response_sha256":"2222222222222222222222222222222222222222222222222222222222222222","#,
        r#""started_at":"2023-11-14T22:13:20Z","streamed":true,"#,
        r#""tokens":{"cached":"2","input":"12","output":"34","reasoning":"5"},"version":1,"#,
        r#""wallet":"0x0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e"}"#,
    );
    let receipt = sealed();
    assert_eq!(receipt.json, expected);
    assert_eq!(receipt.hash, <Hash32>::from(Sha256::digest(expected)));
}

#[test]
fn a_call_without_a_key_says_null() {
    let mut capture = capture();
    capture.usage.api_key = None;
    let receipt = SealedReceipt::seal(&context(), &capture, &CAPTURED, &capture.lines);
    assert!(
        receipt.json.starts_with(r#"{"api_key":null,"#),
        "{}",
        receipt.json
    );
    assert_eq!(ReceiptDocument::parse(&receipt.json).unwrap().api_key, None);
}

/// Field case J6.
#[test]
fn a_reformatted_receipt_has_the_hash_of_its_canonical_form() {
    let json = sealed().json;
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    let mut fields: Vec<_> = value.as_object().unwrap().clone().into_iter().collect();
    fields.reverse();
    let reordered = serde_json::Value::Object(fields.into_iter().collect()).to_string();
    assert_ne!(reordered, json);
    for text in [pretty, json.replace("\":", "\": "), reordered] {
        let document = ReceiptDocument::parse(&text).unwrap();
        assert_eq!(document.seal().json, json, "{text}");
    }
}

#[test]
fn a_receipt_with_another_spelling_or_a_repeated_field_is_refused() {
    let json = sealed().json;
    let upper = json.replace(&"0c".repeat(20), &"0C".repeat(20));
    let error = ReceiptDocument::parse(&upper).unwrap_err();
    assert!(matches!(error, DocumentError::NotCanonical), "{upper}: {error}");
    let duplicated = json.replacen("{", r#"{"api_key":"3","#, 1);
    assert!(matches!(
        ReceiptDocument::parse(&duplicated),
        Err(DocumentError::Form(_))
    ));
}

#[test]
fn a_receipt_with_a_changed_or_foreign_field_is_not_one() {
    let json = sealed().json;
    let with = |from: &str, to: &str| {
        assert!(json.contains(from), "{from}");
        ReceiptDocument::parse(&json.replace(from, to)).unwrap_err()
    };
    assert!(matches!(
        with("{\"api_key\"", "{\"a\":1,\"api_key\""),
        DocumentError::Form(_)
    ));
    assert!(matches!(with("\"lost_nano\":\"0\",", ""), DocumentError::Form(_)));
    assert!(matches!(
        with("\"version\":1", "\"version\":2"),
        DocumentError::Version(2)
    ));
    assert!(matches!(
        with("platform", "nobody"),
        DocumentError::Field("lines.payee")
    ));
    assert!(matches!(
        with("\"2000\"", "\"2e3\""),
        DocumentError::Field("charged_nano")
    ));
    assert!(matches!(
        with("\"2000\"", "\"+2000\""),
        DocumentError::NotCanonical
    ));
    assert!(matches!(
        with("\"call/01", "\"call/02"),
        DocumentError::NotCanonical
    ));
    for text in ["", "null", "[]", "{}", "{\"version\":1}", "\u{0}"] {
        assert!(
            matches!(ReceiptDocument::parse(text), Err(DocumentError::Form(_))),
            "{text}"
        );
    }
}

#[test]
fn a_receipt_read_from_a_file_may_end_with_a_newline() {
    let json = sealed().json;
    let document = ReceiptDocument::parse(&format!("{json}\n")).unwrap();
    assert_eq!(document.seal().json, json);
}

#[test]
fn the_id_in_a_leaf_is_the_uuid_followed_by_zeros() {
    let id = receipt_id32(capture().call);
    assert_eq!(
        hex::encode(id),
        format!("0102030405060708090a0b0c0d0e0f10{}", "00".repeat(16))
    );
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[\\x00-\\x7f\u{2028}\u{e9}\u{1f600}\"\\\\]{0,24}",
        "[a-z0-9./-]{0,24}",
    ]
}

prop_compose! {
    fn any_receipt()(
        names in (name(), name()),
        tokens: [u64; 4],
        amounts in prop::collection::vec(any::<i64>(), 0..5),
        chain_id: u64,
        call: [u8; 16],
        flags: (bool, bool, Option<i64>),
        // Years 1970 to 9999: what RFC 3339 can say.
        times in (0i64..253_402_300_800_000_000, 0i64..253_402_300_800_000_000),
    ) -> (ReceiptContext, Capture, Captured) {
        let mut capture = capture();
        let context = ReceiptContext { chain_id, ..context() };
        let payees = [
            Payee::Platform,
            Payee::Creator(WalletAddress::new([3; 20])),
            Payee::Organization(OrgId(-5)),
        ];
        let items = [LineItem::ModelCall, LineItem::Product(ProductId(i64::MIN)), LineItem::ModelTokens];
        let parts = payees.iter().cycle().zip(items.iter().cycle());
        capture.lines = amounts
            .iter()
            .zip(parts)
            .map(|(nano, (payee, item))| PriceLine {
                payee: *payee,
                item: *item,
                amount: Usdt::from_nano(*nano),
            })
            .collect();
        capture.call = CallId(Uuid::from_bytes(call));
        let usage = &mut capture.usage;
        (usage.model_name, usage.provider) = names;
        let [input, cached, output, reasoning] = tokens;
        usage.tokens = TokenUsage { input, cached, output, reasoning };
        (usage.estimated, usage.streamed) = (flags.0, flags.1);
        usage.api_key = flags.2.map(ApiKeyId);
        usage.started_at = Timestamp::from_micros(times.0);
        usage.finished_at = Timestamp::from_micros(times.1);
        let charged = amounts.first().copied().map_or(Usdt::MAX, Usdt::from_nano);
        (context, capture, Captured { charged, ..CAPTURED })
    }
}

proptest! {
    #[test]
    fn the_bytes_are_those_of_an_independent_implementation_of_rfc_8785(
        (context, capture, captured) in any_receipt(),
    ) {
        let receipt = SealedReceipt::seal(&context, &capture, &captured, &capture.lines);
        let value: serde_json::Value = serde_json::from_str(&receipt.json).unwrap();
        let canonical = serde_json_canonicalizer::to_string(&value).unwrap();
        prop_assert_eq!(receipt.json, canonical);
    }

    #[test]
    fn every_receipt_reads_back_as_what_it_was_made_of(
        (context, capture, captured) in any_receipt(),
    ) {
        let receipt = SealedReceipt::seal(&context, &capture, &captured, &capture.lines);
        let document = ReceiptDocument::parse(&receipt.json).unwrap();
        prop_assert_eq!(&document, &ReceiptDocument::new(&context, &capture, &captured, &capture.lines));
        prop_assert_eq!(document.seal(), receipt);
    }

    #[test]
    fn no_time_however_absurd_keeps_a_receipt_from_being_sealed(started: i64, finished: i64) {
        let mut capture = capture();
        capture.usage.started_at = Timestamp::from_micros(started);
        capture.usage.finished_at = Timestamp::from_micros(finished);
        let receipt = SealedReceipt::seal(&context(), &capture, &CAPTURED, &capture.lines);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&receipt.json).is_ok());
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,80}", cut: prop::sample::Index) {
        let _ = ReceiptDocument::parse(&text);
        let json = sealed().json;
        let (front, back) = json.split_at(cut.index(json.len()));
        let changed = format!("{front}{text}{back}");
        if let Ok(document) = ReceiptDocument::parse(&changed) {
            prop_assert_eq!(document.seal().json, changed.trim());
        }
    }
}
