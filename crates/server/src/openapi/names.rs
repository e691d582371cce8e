//! Names of schemas, as a client's code shall read them: a handler's `…View` is a model's plain name.

use super::DocumentError;
use serde_json::{Map, Value};

/// Where schemas are referred to.
const SCHEMAS: &str = "#/components/schemas/";
/// What handlers call what they show.
const SUFFIX: &str = "View";

/// Renames schemas, and whatever refers to them.
///
/// # Errors
/// [`DocumentError::Name`] when two get the same name.
pub(super) fn tidy(document: &mut Value) -> Result<(), DocumentError> {
    if let Some(Value::Object(schemas)) = document.pointer_mut("/components/schemas") {
        let mut renamed = Map::new();
        for (name, schema) in std::mem::take(schemas) {
            let name = plain(&name);
            if renamed.contains_key(&name) {
                return Err(DocumentError::Name(name));
            }
            renamed.insert(name, schema);
        }
        *schemas = renamed;
    }
    refer(document);
    Ok(())
}

/// `Success_Vec_OrgView` → `Success_Vec_Org`.
fn plain(name: &str) -> String {
    let words = name.split('_').map(|word| match word.strip_suffix(SUFFIX) {
        Some("") | None => word,
        Some(rest) => rest,
    });
    words.collect::<Vec<_>>().join("_")
}

fn refer(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "$ref" => {
                        if let Some(schema) = text.strip_prefix(SCHEMAS) {
                            *text = format!("{SCHEMAS}{}", plain(schema));
                        }
                    }
                    value => refer(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(refer),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn views_lose_their_suffix_wherever_they_are_named() {
        let mut document = json!({
            "components": {"schemas": {
                "Success_Vec_OrgView": {"items": {"$ref": "#/components/schemas/OrgView"}},
                "OrgView": {"properties": {"View": {}}},
            }},
            "paths": {"/a": [{"$ref": "#/components/schemas/Success_Vec_OrgView"}]},
        });
        tidy(&mut document).unwrap();
        let expected = json!({
            "components": {"schemas": {
                "Success_Vec_Org": {"items": {"$ref": "#/components/schemas/Org"}},
                "Org": {"properties": {"View": {}}},
            }},
            "paths": {"/a": [{"$ref": "#/components/schemas/Success_Vec_Org"}]},
        });
        assert_eq!(document, expected);
        assert_eq!(plain("View"), "View");
        assert_eq!(plain("ViewpointList"), "ViewpointList");
    }

    #[test]
    fn two_schemas_never_become_one() {
        let mut document = json!({"components": {"schemas": {"OrgView": {}, "Org": {}}}});
        assert!(matches!(tidy(&mut document), Err(DocumentError::Name(name)) if name == "Org"));
    }
}
