//! Fields of parameters that are more than a number or a text.

use serde::{Deserialize, Deserializer, de};
use std::{fmt::Display, str::FromStr};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{Deprecated, ObjectBuilder, RefOr, Schema, schema::SchemaType},
};

/// A field that is read as its type reads text. It is documented with `#[schema(value_type = …)]`
/// or `#[param(value_type = …)]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed<T>(pub T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map(Self)
            .map_err(de::Error::custom)
    }
}

/// What a field that may be cleared was given. Use it with `#[serde(default)]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// Not mentioned.
    #[default]
    Keep,
    /// `null`.
    Clear,
    /// A value.
    Set(T),
}

impl<T> Change<T> {
    /// `None` keeps, `Some(None)` clears.
    pub fn nested(self) -> Option<Option<T>> {
        match self {
            Self::Keep => None,
            Self::Clear => Some(None),
            Self::Set(value) => Some(Some(value)),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(match Option::<T>::deserialize(from)? {
            None => Self::Clear,
            Some(value) => Self::Set(value),
        })
    }
}

/// A field that is accepted and ignored, because an existing client sends it. Use it with
/// `#[serde(default)]`: the name is known, every other unknown name is refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        de::IgnoredAny::deserialize(from).map(|_| Self)
    }
}

impl PartialSchema for Ignored {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .description(Some("Accepted for older clients and ignored"))
            .deprecated(Some(Deprecated::True))
            .into()
    }
}

impl ToSchema for Ignored {}
