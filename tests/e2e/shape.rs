//! The shapes of the objects that the existing frontend reads.

use serde_json::Value;

/// Checks that an object has these fields of these types.
pub fn assert_shape(value: &Value, fields: &[(&str, &str)]) {
    let object = value
        .as_object()
        .unwrap_or_else(|| panic!("an object, not {value}"));
    for (name, kind) in fields {
        let field = object
            .get(*name)
            .unwrap_or_else(|| panic!("{name} is missing in {value}"));
        let fits = match *kind {
            "int" => {
                field.is_i64()
                    || field.is_u64()
                    || field
                        .as_number()
                        .is_some_and(|n| !n.to_string().contains(['.', 'e']))
            }
            "text" => field.is_string(),
            "bool" => field.is_boolean(),
            "null" => field.is_null(),
            "text?" => field.is_string() || field.is_null(),
            "list" => field.is_array(),
            "object" => field.is_object(),
            "time" => field.as_str().is_some_and(is_legacy_time),
            "address" => field.as_str().is_some_and(|text| {
                text.len() == 42
                    && text.starts_with("0x")
                    && text[2..]
                        .bytes()
                        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            }),
            "uid" => field
                .as_str()
                .is_some_and(|text| text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())),
            other => panic!("no kind {other}"),
        };
        assert!(fits, "{name} is no {kind}: {field}");
    }
}

/// `YYYY-MM-DD HH:MM:SS`
fn is_legacy_time(text: &str) -> bool {
    let form = "dddd-dd-dd dd:dd:dd";
    text.len() == form.len()
        && text
            .chars()
            .zip(form.chars())
            .all(|(found, wanted)| match wanted {
                'd' => found.is_ascii_digit(),
                exact => found == exact,
            })
}

pub const ORGANIZATION: [(&str, &str); 7] = [
    ("id", "int"),
    ("organization_uid", "uid"),
    ("address", "address"),
    ("orchestrator_idx", "int"),
    ("name", "text"),
    ("owner", "address"),
    ("created_at", "time"),
];

pub const PROJECT: [(&str, &str); 10] = [
    ("id", "int"),
    ("org_id", "int"),
    ("project_uid", "uid"),
    ("name", "text"),
    ("created_at", "time"),
    ("search_enabled", "bool"),
    ("memory_enabled", "bool"),
    ("default_model_id", "int"),
    ("teloxide_token", "null"),
    ("discord_token", "null"),
];

pub const MODEL: [(&str, &str); 6] = [
    ("id", "int"),
    ("name", "text"),
    ("display_name", "text"),
    ("provider", "text"),
    ("is_active", "bool"),
    ("price_per_call", "int"),
];

pub const PRODUCT: [(&str, &str); 9] = [
    ("id", "int"),
    ("address", "address"),
    ("creator", "address"),
    ("name", "text"),
    ("price_per_call", "int"),
    ("category", "text"),
    ("description", "text?"),
    ("photo_url", "text?"),
    ("created_at", "time"),
];

pub const CREATOR: [(&str, &str); 3] = [
    ("wallet_address", "address"),
    ("uri", "text"),
    ("created_at", "time"),
];

pub const CONVERSATION: [(&str, &str); 4] = [
    ("id", "int"),
    ("title", "text"),
    ("created_at", "time"),
    ("updated_at", "time"),
];

pub const MESSAGE: [(&str, &str); 4] = [
    ("id", "int"),
    ("message", "text"),
    ("sender", "text"),
    ("created_at", "time"),
];
