//! A parameter as it was given, read as whatever its field asks for.

use super::{
    known::{Origin, UnknownName},
    tree::{Tree, Unique},
};
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
    /// Reads one value of a body, which was checked to be JSON before.
    ///
    /// # Errors
    /// Half of a surrogate pair, too deep nesting, or an object that has a field twice.
    pub fn of(raw: &RawValue) -> Result<Self, String> {
        let text = raw.get().trim();
        Ok(match text.as_bytes().first() {
            Some(b'"') => {
                Self::Text(serde_json::from_str(text).map_err(|_| {
                    "is not valid text: an escape in it is half of a surrogate pair".to_owned()
                })?)
            }
            Some(b'{' | b'[') => {
                let Unique(json) = serde_json::from_str(text).map_err(|error| error.to_string())?;
                Self::Json(json)
            }
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
    /// A name that the struct does not have.
    Unknown(UnknownName),
    /// A problem whose parameter is not known yet.
    Other(String),
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "`{name}` is missing"),
            Self::Value { name, problem } => write!(f, "`{name}`: {problem}"),
            Self::Unknown(unknown) => f.write_str(&unknown.message),
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

/// A problem of a value whose parameter is named where it is read.
pub fn other(problem: impl Display) -> Problem {
    Problem::Other(problem.to_string())
}

/// A parameter and where it was given.
#[derive(Debug)]
pub struct Entry {
    pub given: Given,
    pub origin: Origin,
}

/// All parameters, to be read into a struct, which has to know every one of them.
pub struct Named {
    names: BTreeMap<String, Entry>,
    /// Names of the query were checked against the route's documented parameters before.
    query_is_checked: bool,
}

impl Named {
    pub fn new(names: BTreeMap<String, Entry>, query_is_checked: bool) -> Self {
        Self {
            names,
            query_is_checked,
        }
    }
}

impl<'de> Deserializer<'de> for Named {
    type Error = Problem;

    /// Parameters are read into a struct with named fields. `#[serde(flatten)]` arrives here, too: it hides
    /// which names are known.
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Problem> {
        Err(other("the parameters have no list of known names"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let judged = |entry: &Entry| self.query_is_checked && entry.origin == Origin::Query;
        let unknown = self
            .names
            .iter()
            .find(|(name, entry)| !known.contains(&name.as_str()) && !judged(entry));
        if let Some((name, entry)) = unknown {
            let known = known.iter().copied();
            return Err(Problem::Unknown(UnknownName::new(entry.origin, &[], name, known)));
        }
        visitor.visit_map(Entries {
            left: self.names.into_iter(),
            next: None,
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct Entries {
    left: btree_map::IntoIter<String, Entry>,
    next: Option<(String, Given)>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        self.next = self.left.next().map(|(name, entry)| (name, entry.given));
        let Some((name, _)) = &self.next else {
            return Ok(None);
        };
        let name: StrDeserializer<'_, Problem> = name.as_str().into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let (name, given) = self.next.take().ok_or_else(|| other("a value without a name"))?;
        let value = Value {
            given,
            name: name.clone(),
        };
        seed.deserialize(value).map_err(|problem| match problem {
            Problem::Unknown(unknown) => Problem::Unknown(unknown),
            Problem::Other(problem) => Problem::Value { name, problem },
            Problem::Missing(_) | Problem::Value { .. } => Problem::Value {
                name,
                problem: problem.to_string(),
            },
        })
    }
}

/// One parameter, to be read into a field.
struct Value {
    given: Given,
    name: String,
}

impl Value {
    fn text(self) -> Result<String, Problem> {
        match self.given {
            Given::Text(text) => Ok(text),
            Given::Null => Err(other("must not be null")),
            Given::Json(_) => Err(other("must be a single value")),
        }
    }

    fn parsed<T: FromStr>(self, what: &str) -> Result<T, Problem> {
        self.text()?.parse().map_err(|_| other(what))
    }

    fn json(self) -> Result<Tree, Problem> {
        match self.given {
            Given::Json(value) => Ok(Tree {
                value,
                parents: vec![self.name],
            }),
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
        match self.given {
            Given::Text(text) => visitor.visit_string(text),
            Given::Null => visitor.visit_unit(),
            Given::Json(_) => self.json()?.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.given {
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
        self.json()?.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.json()?.deserialize_map(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.json()?.deserialize_struct(name, fields, visitor)
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

    /// Parameters that are accepted and ignored by name.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_unit()
    }
}
