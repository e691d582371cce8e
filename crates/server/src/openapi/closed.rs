//! Bodies whose unknown fields are refused are documented as closed: `additionalProperties: false`.

use crate::http::known_names::is_checked;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

const SCHEMAS: &str = "#/components/schemas/";

/// Closes the schemas of the JSON request bodies of every path where unknown names are refused, at every
/// depth. Free-form objects, which list no properties, stay open.
pub(super) fn close(document: &mut Value) {
    let mut waiting = Vec::new();
    if let Some(Value::Object(paths)) = document.get_mut("paths") {
        let checked = paths.iter_mut().filter(|(path, _)| is_checked(path));
        let operations = checked.filter_map(|(_, item)| item.as_object_mut());
        for operation in operations.flat_map(Map::values_mut) {
            if let Some(schema) = operation.pointer_mut("/requestBody/content/application~1json/schema") {
                close_schema(schema, &mut waiting);
            }
        }
    }
    let mut closed = BTreeSet::new();
    while let Some(name) = waiting.pop() {
        if !closed.insert(name.clone()) {
            continue;
        }
        let schemas = document.pointer_mut("/components/schemas");
        if let Some(schema) = schemas.and_then(|schemas| schemas.get_mut(&name)) {
            close_schema(schema, &mut waiting);
        }
    }
}

/// Closes one schema and those inside it; names the schemas that it refers to.
fn close_schema(schema: &mut Value, referred: &mut Vec<String>) {
    let Value::Object(fields) = schema else {
        return;
    };
    let reference = fields.get("$ref").and_then(Value::as_str);
    referred.extend(
        reference
            .and_then(|text| text.strip_prefix(SCHEMAS))
            .map(str::to_owned),
    );
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        for property in properties.values_mut() {
            close_schema(property, referred);
        }
        fields.entry("additionalProperties").or_insert(Value::Bool(false));
    }
    for name in ["items", "oneOf", "anyOf"] {
        match fields.get_mut(name) {
            Some(Value::Array(schemas)) => {
                for schema in schemas {
                    close_schema(schema, referred);
                }
            }
            Some(schema) => close_schema(schema, referred),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(schema: &Value) -> Value {
        json!({"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}})
    }

    #[test]
    fn bodies_are_closed_at_every_depth_and_other_schemas_are_not() {
        let refer = |name: &str| json!({"$ref": format!("{SCHEMAS}{name}")});
        let object = |property: Value| json!({"type": "object", "properties": {"a": property}});
        let mut document = json!({
            "paths": {
                "/api/v1/a": body(&refer("Input")),
                "/api/v1/b": body(&object(json!({"type": "object"}))),
                "/api/v1beta/openai/c": body(&refer("Dialect")),
            },
            "components": {"schemas": {
                "Input": object(json!({"oneOf": [{"type": "null"}, refer("Inner")]})),
                "Inner": object(json!({"type": "array", "items": object(refer("Inner"))})),
                "Dialect": object(json!({})),
                "Shown": object(json!({})),
            }},
        });
        close(&mut document);
        let closed = |pointer: &str| {
            let schema = document.pointer(pointer).unwrap();
            schema.get("additionalProperties") == Some(&json!(false))
        };
        for (pointer, expected) in [
            ("/components/schemas/Input", true),
            ("/components/schemas/Inner", true),
            ("/components/schemas/Inner/properties/a/items", true),
            ("/components/schemas/Dialect", false),
            ("/components/schemas/Shown", false),
        ] {
            assert_eq!(closed(pointer), expected, "{pointer}");
        }
        let inline = "/paths/~1api~1v1~1b/post/requestBody/content/application~1json/schema";
        assert!(closed(inline));
        assert!(
            !closed(&format!("{inline}/properties/a")),
            "a free-form object stays open"
        );
    }

    /// A client that reads an answer has to ignore fields that it does not know.
    #[test]
    fn no_answer_is_closed_for_being_a_body_too() {
        let document = crate::api::router::document().unwrap();
        let mut waiting = Vec::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                referred(&operation["responses"], &mut waiting);
            }
        }
        let schemas = &document["components"]["schemas"];
        let mut seen = BTreeSet::new();
        while let Some(name) = waiting.pop() {
            if seen.insert(name.clone()) {
                referred(&schemas[&name], &mut waiting);
                // It refuses unknown fields by its own type, in keys that were stored, too.
                let closed = schemas[&name]["additionalProperties"] == json!(false);
                assert!(!closed || name == "ApiKeyBudget", "{name}");
            }
        }
        assert!(seen.len() > 50, "{}", seen.len());
    }

    fn referred(value: &Value, names: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                let reference = fields.get("$ref").and_then(Value::as_str);
                names.extend(
                    reference
                        .and_then(|text| text.strip_prefix(SCHEMAS))
                        .map(str::to_owned),
                );
                fields.values().for_each(|value| referred(value, names));
            }
            Value::Array(items) => items.iter().for_each(|item| referred(item, names)),
            _ => {}
        }
    }
}
