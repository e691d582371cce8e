//! Schemas that nothing refers to, because an envelope says them in full, are left out.

use serde_json::Value;
use std::collections::HashSet;

const SCHEMAS: &str = "#/components/schemas/";

/// Removes them, and those that only they referred to.
pub(super) fn remove(document: &mut Value) {
    loop {
        let mut used = HashSet::new();
        gather(document, &mut used);
        let schemas = document.pointer_mut("/components/schemas");
        let Some(schemas) = schemas.and_then(Value::as_object_mut) else {
            return;
        };
        let before = schemas.len();
        schemas.retain(|name, _| used.contains(name));
        if schemas.len() == before {
            return;
        }
    }
}

fn gather(value: &Value, used: &mut HashSet<String>) {
    match value {
        Value::Object(fields) => {
            let reference = fields.get("$ref").and_then(Value::as_str);
            used.extend(
                reference
                    .and_then(|text| text.strip_prefix(SCHEMAS))
                    .map(str::to_owned),
            );
            fields.values().for_each(|value| gather(value, used));
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, used)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_nothing_refers_to_goes_and_takes_along_what_only_it_needs() {
        let mut document = json!({
            "paths": {"/": {"get": {"schema": {"$ref": "#/components/schemas/A"}}}},
            "components": {"schemas": {
                "A": {"items": {"$ref": "#/components/schemas/B"}},
                "B": {}, "C": {"items": [{"$ref": "#/components/schemas/D"}]}, "D": {},
            }},
        });
        remove(&mut document);
        let left: Vec<_> = document["components"]["schemas"]
            .as_object()
            .unwrap()
            .keys()
            .collect();
        assert_eq!(left, ["A", "B"]);
    }
}
