//! `docs/CONFIGURATION.md` against the program: every setting is in it as it is, and nothing else.

use super::{super::layers, complete};
use crate::{Config, config};
use haithe_inference::catalogue::file;
use serde::{
    Deserialize,
    de::{self, Visitor, value::Error},
};
use std::collections::BTreeMap;
use toml::Value;

const DOCUMENT: &str = include_str!("../../../../../docs/CONFIGURATION.md");

/// The rows of the document whose first cell names a setting: the name, and the cells behind it.
fn rows() -> BTreeMap<String, Vec<String>> {
    let mut rows = BTreeMap::new();
    for line in DOCUMENT.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = line
            .trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned());
        let name = cells.next().unwrap_or_default().trim_matches('`').to_owned();
        if name.contains('.') {
            let cells: Vec<_> = cells.collect();
            assert!(
                cells.iter().all(|cell| !cell.is_empty()),
                "{name} has an empty cell"
            );
            assert!(rows.insert(name.clone(), cells).is_none(), "{name} stands twice");
        }
    }
    rows
}

/// The names that a struct is read from, asked of the struct itself.
fn fields<'de, T: Deserialize<'de>>() -> Vec<&'static str> {
    struct Asking<'f>(&'f mut &'static [&'static str]);

    impl<'de> de::Deserializer<'de> for Asking<'_> {
        type Error = Error;
        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(de::Error::custom("only structs are asked"))
        }
        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Error> {
            *self.0 = fields;
            Err(de::Error::custom("that is all"))
        }
        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let mut found: &'static [&'static str] = &[];
    let _ = T::deserialize(Asking(&mut found));
    assert!(!found.is_empty(), "no fields were found");
    found.to_vec()
}

/// Every setting, by its dotted path, as the structs have it.
fn settings() -> Vec<String> {
    let sections = [
        ("server", fields::<config::Server>()),
        ("log", fields::<config::Log>()),
        ("metrics", fields::<config::Metrics>()),
        ("limits", fields::<config::Limits>()),
        ("database", fields::<config::Database>()),
        ("backup", fields::<config::Backup>()),
        ("auth", fields::<config::Auth>()),
        ("enclave", fields::<config::Enclave>()),
        ("chain", fields::<config::Chain>()),
        ("settlement", fields::<config::Settlement>()),
        ("inference", fields::<config::Inference>()),
        ("agent", fields::<config::Agent>()),
        ("search", fields::<config::Search>()),
        ("embeddings", fields::<config::Embeddings>()),
        ("conversations", fields::<config::Conversations>()),
        ("projects", fields::<config::Projects>()),
        ("webhooks", fields::<config::Webhooks>()),
        ("content", fields::<config::Content>()),
    ];
    let named: Vec<_> = sections.iter().map(|(section, _)| *section).collect();
    assert_eq!(named, fields::<Config>(), "every section is looked at");
    paths(&sections)
}

fn paths(sections: &[(&str, Vec<&str>)]) -> Vec<String> {
    let of = |(section, fields): &(&str, Vec<&str>)| {
        let path = |field: &&str| format!("{section}.{field}");
        fields.iter().map(path).collect::<Vec<_>>()
    };
    sections.iter().flat_map(of).collect()
}

#[test]
fn every_setting_has_its_row_and_every_row_its_setting() {
    let mut known = settings();
    known.extend(paths(&[
        ("auth.sites[]", fields::<config::SiteEntry>()),
        ("providers.*", fields::<file::ProviderEntry>()),
        ("models[]", fields::<file::ModelEntry>()),
        ("models[].price", fields::<file::PriceEntry>()),
    ]));
    let documented: Vec<_> = rows().into_keys().collect();
    let missing: Vec<_> = known.iter().filter(|name| !documented.contains(name)).collect();
    let stale: Vec<_> = documented.iter().filter(|name| !known.contains(name)).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "docs/CONFIGURATION.md lacks {missing:?} and has too much: {stale:?}"
    );
}

#[test]
fn every_row_tells_type_unit_default_and_environment_as_they_are() {
    let rows = rows();
    for path in settings() {
        let [form, unit, default, environment, meaning] = rows[&path].as_slice() else {
            panic!("{path} has not six cells");
        };
        let value = layers::default_of(&path).unwrap_or_else(|| panic!("{path} has no default"));
        let (word, shown) = match &value {
            Value::Boolean(flag) => ("boolean", format!("`{flag}`")),
            Value::Integer(number) => ("integer", format!("`{number}`")),
            Value::String(text) => ("text", format!("`\"{text}\"`")),
            Value::Array(list) if list.is_empty() => ("list of texts", "`[]`".to_owned()),
            Value::Array(_) => ("list of tables", "see below".to_owned()),
            other => panic!("{path} is {other:?}"),
        };
        assert!(form.starts_with(word), "{path} is a {word}, not a {form}");
        assert_eq!(*default, shown, "the default of {path}");
        let long = format!("`HAITHE__{}`", path.to_ascii_uppercase().replace('.', "__"));
        let names =
            layers::short_name_of(&path).map_or_else(|| long.clone(), |short| format!("`{short}`, {long}"));
        assert_eq!(*environment, names, "the environment's names of {path}");
        for (suffix, its) in [
            ("_seconds", "seconds"),
            ("_milliseconds", "milliseconds"),
            ("_bytes", "bytes"),
            ("_usdt", "USDT"),
            ("_gwei", "gwei"),
        ] {
            assert!(
                !path.ends_with(suffix) || unit == its,
                "{path} is in {its}, not {unit}"
            );
        }
        assert!(meaning.len() > 10, "{path}: {meaning}");
    }
}

#[test]
fn every_integer_takes_exactly_what_its_row_allows() {
    let accepts = |path: &str, number: i64| {
        // So that the rules between settings do not answer for the ranges.
        let (payees, gas) = match path {
            "chain.batch_gas" => (30, 8_000_000),
            _ => (100, 15_777_216),
        };
        let base = complete()
            .set("chain.confirmations", 1)
            .set("chain.finality", 100_000)
            .set("server.max_body_bytes", 1_024)
            .set("server.max_buffered_body_bytes", 1_099_511_627_776_i64)
            .set("agent.max_products", 1)
            .set("settlement.max_payees", payees)
            .set("chain.batch_gas", gas);
        Config::load(base.set(path, number)).is_ok()
    };
    let mut looked_at = 0;
    for (path, cells) in rows() {
        let Some(range) = cells.first().and_then(|form| form.strip_prefix("integer, ")) else {
            assert!(
                cells[0] != "integer" || path.starts_with("providers") || path.starts_with("models"),
                "{path} tells no range"
            );
            continue;
        };
        let (least, most) = range.split_once(" to ").unwrap();
        let (least, most): (i64, i64) = (least.parse().unwrap(), most.parse().unwrap());
        assert!(accepts(&path, least) && accepts(&path, most), "{path}: {range}");
        assert!(!accepts(&path, most + 1), "{path} takes more than {most}");
        assert!(!accepts(&path, least - 1), "{path} takes less than {least}");
        looked_at += 1;
    }
    assert!(looked_at > 30, "{looked_at}");
}

#[test]
fn the_defaults_of_providers_are_told_as_they_are() {
    let file: file::CatalogueFile = toml::from_str("[providers.x]\n").unwrap();
    let entry = &file.providers["x"];
    let rows = rows();
    for (field, number) in [
        ("connect_timeout_ms", entry.connect_timeout_ms),
        ("first_byte_timeout_ms", entry.first_byte_timeout_ms),
        ("idle_timeout_ms", entry.idle_timeout_ms),
        ("answer_timeout_ms", entry.answer_timeout_ms),
        ("retries", entry.retries.into()),
        ("retry_delay_ms", entry.retry_delay_ms),
        ("retry_within_ms", entry.retry_within_ms),
        ("circuit_faults", entry.circuit_faults.into()),
        ("circuit_pause_ms", entry.circuit_pause_ms),
    ] {
        let told = &rows[&format!("providers.*.{field}")][1];
        assert_eq!(*told, format!("`{number}`"), "{field}");
    }
    assert!(entry.active);
}
