//! A parameter as it was given, read as whatever its field asks for.

use serde::{
    Deserializer,
    de::{
        self, DeserializeSeed, IntoDeserializer, MapAccess, Visitor,
        value::{StrDeserializer, StringDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::{Value as Json, value::RawValue};
use std::{
    collections::{BTreeMap, btree_map},
    fmt::{self, Display},
    str::FromStr,
};

/// One parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// A query parameter; or a JSON string, number or boolean, as its text.
    Text(String),
    /// JSON `null`.
    Null,
    /// A JSON array or object.
    Json(Json),
}

impl Given {
    /// The only JSON that parses raw and not otherwise has a string with half a surrogate pair.
    pub fn of(raw: &RawValue) -> Result<Self, &'static str> {
        let text = raw.get().trim();
        Ok(match text.as_bytes().first() {
            Some(b'"') => Self::Text(
                serde_json::from_str(text)
                    .map_err(|_| "is not valid text: an escape in it is half of a surrogate pair")?,
            ),
            Some(b'{' | b'[') => Self::Json(
                serde_json::from_str(text).map_err(|_| "is not valid JSON: an escape is half of a pair")?,
            ),
            _ if text == "null" => Self::Null,
            _ => Self::Text(text.to_owned()),
        })
    }
}

/// Why parameters do not fit their struct.
#[derive(Debug)]
pub enum Problem {
    /// A field has no parameter.
    Missing(&'static str),
    /// A parameter cannot be read.
    Value {
        /// Which.
        name: String,
        /// Why.
        problem: String,
    },
    /// A problem whose parameter is not known yet.
    Other(String),
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "`{name}` is missing"),
            Self::Value { name, problem } => write!(f, "`{name}`: {problem}"),
            Self::Other(problem) => f.write_str(problem),
        }
    }
}

impl std::error::Error for Problem {}

impl de::Error for Problem {
    fn custom<T: Display>(problem: T) -> Self {
        Self::Other(problem.to_string())
    }
    fn missing_field(name: &'static str) -> Self {
        Self::Missing(name)
    }
}

fn other(problem: impl Display) -> Problem {
    Problem::Other(problem.to_string())
}

/// All parameters, to be read into a struct.
pub struct Named {
    left: btree_map::IntoIter<String, Given>,
    next: Option<(String, Given)>,
}

impl Named {
    pub fn new(names: BTreeMap<String, Given>) -> Self {
        Self {
            left: names.into_iter(),
            next: None,
        }
    }
}

impl<'de> Deserializer<'de> for Named {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_map(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> MapAccess<'de> for Named {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        self.next = self.left.next();
        let Some((name, _)) = &self.next else {
            return Ok(None);
        };
        let name: StrDeserializer<'_, Problem> = name.as_str().into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let (name, given) = self.next.take().ok_or_else(|| other("a value without a name"))?;
        seed.deserialize(Value(given)).map_err(|problem| match problem {
            Problem::Other(problem) => Problem::Value { name, problem },
            Problem::Missing(_) | Problem::Value { .. } => Problem::Value {
                name,
                problem: problem.to_string(),
            },
        })
    }
}

/// One parameter, to be read into a field.
struct Value(Given);

impl Value {
    fn text(self) -> Result<String, Problem> {
        match self.0 {
            Given::Text(text) => Ok(text),
            Given::Null => Err(other("must not be null")),
            Given::Json(_) => Err(other("must be a single value")),
        }
    }

    fn parsed<T: FromStr>(self, what: &str) -> Result<T, Problem> {
        self.text()?.parse().map_err(|_| other(what))
    }

    fn json(self) -> Result<Json, Problem> {
        match self.0 {
            Given::Json(json) => Ok(json),
            Given::Text(_) | Given::Null => Err(other("must be a JSON array or object")),
        }
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $type:ty, $what:literal;)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
            visitor.$visit(self.parsed::<$type>($what)?)
        }
    )+};
}

impl<'de> Deserializer<'de> for Value {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.0 {
            Given::Text(text) => visitor.visit_string(text),
            Given::Null => visitor.visit_unit(),
            Given::Json(json) => json.deserialize_any(visitor).map_err(other),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.0 {
            Given::Null => visitor.visit_none(),
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

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_string(self.text()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_string(self.text()?)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let word: StringDeserializer<Problem> = self.text()?.into_deserializer();
        visitor.visit_enum(word)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.json()?.deserialize_seq(visitor).map_err(other)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.json()?.deserialize_map(visitor).map_err(other)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.json()?
            .deserialize_struct(name, fields, visitor)
            .map_err(other)
    }

    parsed! {
        deserialize_bool visit_bool bool, "must be true or false";
        deserialize_i8 visit_i8 i8, "must be a whole number from -128 to 127";
        deserialize_i16 visit_i16 i16, "must be a whole number from -32768 to 32767";
        deserialize_i32 visit_i32 i32, "must be a whole number of 32 bits";
        deserialize_i64 visit_i64 i64, "must be a whole number of 64 bits";
        deserialize_u8 visit_u8 u8, "must be a whole number from 0 to 255";
        deserialize_u16 visit_u16 u16, "must be a whole number from 0 to 65535";
        deserialize_u32 visit_u32 u32, "must be a whole number from 0 to 4294967295";
        deserialize_u64 visit_u64 u64, "must be a whole number from 0 to 18446744073709551615";
    }

    forward_to_deserialize_any! {
        i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }

    /// Parameters that the route does not know.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_unit()
    }
}
