//! JSON inside a parameter: no field twice, and no field that its struct does not have.

use super::{
    given::{Problem, other},
    known::{Origin, UnknownName},
};
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor, value::StringDeserializer},
    forward_to_deserialize_any,
};
use serde_json::{Map, Number, Value as Json};
use std::{fmt, vec};

/// JSON whose objects have each field once: of two, a plain [`Json`] silently keeps the last.
pub struct Unique(pub Json);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reading).map(Self)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::from(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::from(value))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }
    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::from(value))
    }
    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut all = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(Json::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json, A::Error> {
        let mut all = Map::new();
        while let Some((name, Unique(value))) = fields.next_entry::<String, Unique>()? {
            if all.contains_key(&name) {
                let name: String = name.chars().take(64).collect();
                return Err(de::Error::custom(format!("has the field `{name}` twice")));
            }
            all.insert(name, value);
        }
        Ok(Json::Object(all))
    }
}

/// A value inside a parameter, with the names of the objects around it.
pub struct Tree {
    pub value: Json,
    pub parents: Vec<String>,
}

impl<'de> Deserializer<'de> for Tree {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let parents = self.parents;
        match self.value {
            Json::Array(items) => visitor.visit_seq(Items {
                left: items.into_iter(),
                parents,
            }),
            Json::Object(fields) => visitor.visit_map(Members {
                left: fields.into_iter(),
                next: None,
                parents,
            }),
            plain => plain.deserialize_any(visitor).map_err(other),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.value {
            Json::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let Json::Object(fields) = &self.value else {
            return Err(other("must be a JSON object"));
        };
        if let Some(name) = fields.keys().find(|name| !known.contains(&name.as_str())) {
            let known = known.iter().copied();
            return Err(Problem::Unknown(UnknownName::new(
                Origin::Body,
                &self.parents,
                name,
                known,
            )));
        }
        self.deserialize_any(visitor)
    }

    /// Words only: the fields of a variant could not be checked.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let Json::String(word) = self.value else {
            return Err(other("must be a text"));
        };
        let word: StringDeserializer<Problem> = word.into_deserializer();
        visitor.visit_enum(word)
    }

    /// `#[serde(flatten)]` arrives here, and hides which fields are known.
    fn deserialize_map<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Problem> {
        Err(other("cannot be read: its fields have no list of known names"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct identifier ignored_any
    }
}

struct Items {
    left: vec::IntoIter<Json>,
    parents: Vec<String>,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        let Some(value) = self.left.next() else {
            return Ok(None);
        };
        let parents = self.parents.clone();
        seed.deserialize(Tree { value, parents }).map(Some)
    }
}

struct Members {
    left: serde_json::map::IntoIter,
    next: Option<(String, Json)>,
    parents: Vec<String>,
}

impl<'de> MapAccess<'de> for Members {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        self.next = self.left.next();
        let Some((name, _)) = &self.next else {
            return Ok(None);
        };
        let name: StringDeserializer<Problem> = name.clone().into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let (name, value) = self.next.take().ok_or_else(|| other("a value without a name"))?;
        let mut parents = self.parents.clone();
        parents.push(name.clone());
        seed.deserialize(Tree { value, parents })
            .map_err(|problem| match problem {
                Problem::Unknown(unknown) => Problem::Unknown(unknown),
                problem => other(format!("`{name}`: {problem}")),
            })
    }
}
