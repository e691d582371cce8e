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
    names.read(false)
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
fn unknown_names_are_refused_with_the_nearest_known_one() {
    let unknown = |query: &str, body: &str| {
        let error = sample(query, body).unwrap_err();
        (
            error.code.to_string(),
            error.param.clone().unwrap(),
            error.message.clone(),
        )
    };
    let (code, param, message) = unknown("org_id=1&name=x", r#"{"flags":true}"#);
    assert_eq!((code.as_str(), param.as_str()), ("unknown_field", "flags"));
    assert_eq!(message, "unknown field `flags`; did you mean `flag`?");
    let (code, param, message) = unknown("org=1&name=x", "");
    assert_eq!((code.as_str(), param.as_str()), ("unknown_parameter", "org"));
    assert_eq!(message, "unknown query parameter `org`; did you mean `org_id`?");
    let (code, ..) = unknown("org_id=1&name=x", r#"{"more":{"deep":[null]}}"#);
    assert_eq!(code, "unknown_field");
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "for its fields' names")]
struct Outer {
    inner: Option<Inner>,
    list: Option<Vec<Inner>>,
    #[serde(default)]
    old: Ignored,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "for its fields' names")]
struct Inner {
    limit_usdt: Option<String>,
    deeper: Option<Box<Inner>>,
}

#[test]
fn unknown_names_are_refused_at_every_depth_and_in_lists() {
    for (body, name) in [
        (r#"{"inner":{"limit":"1"}}"#, "inner.limit"),
        (r#"{"inner":{"deeper":{"limit":"1"}}}"#, "inner.deeper.limit"),
        (
            r#"{"list":[{},{"deeper":{"deeper":{"x":1}}}]}"#,
            "list.deeper.deeper.x",
        ),
    ] {
        let error = read::<Outer>("", body).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(name), "{body}");
        assert_eq!(error.code, "unknown_field", "{body}");
    }
    assert!(read::<Outer>("", r#"{"inner":{"deeper":{"limit_usdt":"1"}},"list":[{}]}"#).is_ok());
}

#[test]
fn a_name_that_comes_twice_is_refused_at_every_depth() {
    let error = read::<Outer>("", r#"{"inner":{"limit_usdt":"1","limit_usdt":"1"}}"#).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("inner"));
    assert!(error.message.contains("`limit_usdt` twice"), "{error:?}");
    let error = sample("org_id=7&org_id=7&name=x", "").unwrap_err();
    assert_eq!(error.code, "conflicting_parameter");
}

#[test]
fn an_ignored_field_takes_anything_and_no_other_name() {
    for value in ["1", "null", r#""x""#, r#"{"deep":[1]}"#] {
        assert!(
            read::<Outer>("", &format!(r#"{{"old":{value}}}"#)).is_ok(),
            "{value}"
        );
    }
    assert!(read::<Outer>("", r#"{"old":1,"older":1}"#).is_err());
}

#[test]
fn a_struct_that_hides_its_names_is_refused_whatever_is_sent() {
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "for its shape")]
    struct Hiding {
        #[serde(flatten)]
        inner: Inner,
    }
    assert!(read::<Hiding>("", "{}").is_err());
}

#[test]
fn an_empty_body_that_says_json_is_no_body() {
    assert!(sample("org_id=1&name=x", "").is_ok());
    assert!(sample("org_id=1&name=x", " \r\n").is_ok());
}
