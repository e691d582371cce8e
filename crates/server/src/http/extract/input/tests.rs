use super::*;
use haithe_kernel::WalletAddress;
use haithe_orgs::OrgRole;

#[derive(Debug, Deserialize, PartialEq)]
struct Sample {
    org_id: i64,
    name: String,
    flag: Option<bool>,
    role: Option<Parsed<OrgRole>>,
    wallet_address: Option<WalletAddress>,
    kind: Option<Kind>,
    models: Option<Vec<String>>,
    #[serde(default)]
    days: Change<u16>,
}

#[derive(Debug, Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Day,
    Month,
}

fn read<T: DeserializeOwned>(query: &str, body: &str) -> Result<T, ApiError> {
    let mut names = Names::of_query(query)?;
    names.add_body(body.as_bytes())?;
    names.read()
}

fn sample(query: &str, body: &str) -> Result<Sample, ApiError> {
    read(query, body)
}

fn refusal(query: &str, body: &str) -> (String, Option<String>) {
    let error = sample(query, body).unwrap_err();
    (error.code.to_string(), error.param.clone())
}

#[test]
fn the_query_and_the_body_give_the_same_parameters() {
    let from_query = sample("org_id=7&name=a%20b&flag=true&role=admin&kind=day", "").unwrap();
    let body = r#"{"org_id":7,"name":"a b","flag":true,"role":"admin","kind":"day"}"#;
    assert_eq!(from_query, sample("", body).unwrap());
    assert_eq!(from_query.org_id, 7);
    assert_eq!(from_query.name, "a b");
    assert_eq!(from_query.flag, Some(true));
    assert_eq!(from_query.role, Some(Parsed(OrgRole::Admin)));
    assert_eq!(from_query.kind, Some(Kind::Day));
}

#[test]
fn the_same_value_twice_is_fine_and_two_values_are_not() {
    assert_eq!(sample("org_id=7&name=x", r#"{"org_id":7}"#).unwrap().org_id, 7);
    let conflict = ("conflicting_parameter".to_owned(), Some("org_id".to_owned()));
    assert_eq!(refusal("org_id=7", r#"{"org_id":8}"#), conflict);
    assert_eq!(refusal("org_id=7&org_id=8", ""), conflict);
    assert_eq!(refusal("", r#"{"org_id":7,"org_id":7}"#), conflict);
}

#[test]
fn a_number_of_any_size_keeps_its_digits() {
    #[derive(Deserialize)]
    struct Price {
        price: Parsed<u128>,
    }
    let price: Price = read("", r#"{"price":123456789012345678901234567890}"#).unwrap();
    assert_eq!(price.price.0, 123_456_789_012_345_678_901_234_567_890);
}

#[test]
fn null_clears_and_absence_keeps() {
    let given = |body: &str| {
        sample("org_id=1&name=x", body)
            .map(|sample| (sample.days, sample.flag))
            .unwrap()
    };
    assert_eq!(given(r#"{"days":null,"flag":null}"#), (Change::Clear, None));
    assert_eq!(given("{}"), (Change::Keep, None));
    assert_eq!(
        given(r#"{"days":30,"flag":false}"#),
        (Change::Set(30), Some(false))
    );
}

#[test]
fn structure_is_read_from_a_body_and_nowhere_else() {
    let models = sample("", r#"{"org_id":1,"name":"x","models":["a","b"]}"#)
        .unwrap()
        .models;
    assert_eq!(models, Some(vec!["a".to_owned(), "b".to_owned()]));
    let refused = ("invalid_parameter".to_owned(), Some("models".to_owned()));
    assert_eq!(refusal("org_id=1&name=x&models=a", ""), refused);
    assert_eq!(
        refusal("", r#"{"org_id":1,"name":"x","models":[{"a":1}]}"#),
        refused
    );
}

#[test]
fn what_cannot_be_read_is_refused_with_its_name() {
    for body in ["[]", "{", "7", "\"x\"", "{\"a\":}", "\u{feff}{}"] {
        assert_eq!(refusal("", body).0, "invalid_json", "{body}");
    }
    assert_eq!(refusal("name=%ff", "").0, "invalid_query");
    let invalid = |name: &str| ("invalid_parameter".to_owned(), Some(name.to_owned()));
    assert_eq!(refusal("", r#"{"name":"\ud800"}"#), invalid("name"));
    assert_eq!(refusal("", r#"{"models":["\ud800"]}"#), invalid("models"));
    for (query, name) in [
        ("org_id=x&name=x", "org_id"),
        ("org_id=1.5&name=x", "org_id"),
        ("org_id=9223372036854775808&name=x", "org_id"),
        ("org_id=1&name=x&flag=yes", "flag"),
        ("org_id=1&name=x&role=king", "role"),
        ("org_id=1&name=x&kind=week", "kind"),
        ("org_id=1&name=x&wallet_address=0x12", "wallet_address"),
        ("org_id=1&name=x&days=-1", "days"),
    ] {
        assert_eq!(refusal(query, ""), invalid(name), "{query}");
    }
    assert_eq!(refusal("org_id=1", r#"{"name":["a"]}"#), invalid("name"));
    assert_eq!(refusal("org_id=1", r#"{"name":null}"#), invalid("name"));
    let missing = |name: &str| ("missing_parameter".to_owned(), Some(name.to_owned()));
    assert_eq!(refusal("", ""), missing("org_id"));
    assert_eq!(refusal("org_id=1", "{}"), missing("name"));
}

#[test]
fn names_that_nobody_asked_for_are_ignored_whatever_they_hold() {
    assert!(sample("org_id=1&name=x&other=1", r#"{"more":{"deep":[null]},"no":null}"#).is_ok());
}

#[test]
fn an_empty_body_that_says_json_is_no_body() {
    assert!(sample("org_id=1&name=x", "").is_ok());
    assert!(sample("org_id=1&name=x", " \r\n").is_ok());
}
