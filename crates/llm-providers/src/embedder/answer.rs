//! Reading vectors, of which nothing is believed: not their number, nor their length, nor their order.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};
use std::fmt;

/// Numbers of a vector. The longest of models in use have 4,096.
pub(super) const MOST_DIMENSIONS: usize = 4_096;
/// Bytes of a number as JSON: sign, seventeen digits, exponent, and the indentation of those who write
/// for people.
const MOST_NUMBER_BYTES: usize = 48;
/// Bytes of all else.
const MOST_OTHER_BYTES: usize = 64 * 1024;

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    /// The text's position. Left out by those who leave out zeros.
    #[serde(default)]
    index: usize,
    embedding: Numbers,
}

/// A list of numbers, or base64 of little-endian `f32`s.
struct Numbers(Vec<f32>);

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Numbers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a vector")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Numbers, A::Error> {
                let mut numbers = Vec::new();
                // Read as `f64`: what becomes of an `f32` out of range depends on the features that
                // serde_json is built with.
                while let Some(number) = items.next_element::<f64>()? {
                    if numbers.len() == MOST_DIMENSIONS {
                        return Err(A::Error::custom("too long"));
                    }
                    #[expect(clippy::cast_possible_truncation, reason = "the infinite is refused below")]
                    numbers.push(number as f32);
                }
                Ok(Numbers(numbers))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Numbers, E> {
                let bytes = STANDARD.decode(text).map_err(|_| E::custom("no base64"))?;
                let (numbers, rest) = bytes.as_chunks::<4>();
                if !rest.is_empty() || numbers.len() > MOST_DIMENSIONS {
                    return Err(E::custom("too long"));
                }
                Ok(Numbers(
                    numbers.iter().map(|number| f32::from_le_bytes(*number)).collect(),
                ))
            }
        }

        from.deserialize_any(Either)
    }
}

/// The vectors of `count` texts, in the texts' order.
///
/// # Errors
/// What is wrong with the answer, in words that quote nothing of it.
pub(super) fn read(
    body: &[u8],
    count: usize,
    dimensions: Option<u32>,
) -> Result<Vec<Vec<f32>>, &'static str> {
    let most = count.saturating_mul(MOST_DIMENSIONS * MOST_NUMBER_BYTES);
    if body.len() > most.saturating_add(MOST_OTHER_BYTES) {
        return Err("is too large");
    }
    let answer: Answer = serde_json::from_slice(body).map_err(|_| "is no list of vectors")?;
    let mut vectors: Vec<Option<Vec<f32>>> = Vec::new();
    vectors.resize_with(count, || None);
    for item in answer.data {
        let slot = vectors
            .get_mut(item.index)
            .ok_or("has a vector for a text that was not sent")?;
        if slot.replace(item.embedding.0).is_some() {
            return Err("has two vectors for a text");
        }
    }
    let vectors: Option<Vec<Vec<f32>>> = vectors.into_iter().collect();
    let vectors = vectors.ok_or("lacks the vector of a text")?;
    let length = vectors.first().map_or(0, Vec::len);
    if length == 0 || vectors.iter().any(|vector| vector.len() != length) {
        return Err("has vectors of no or of different lengths");
    }
    if dimensions.is_some_and(|asked| usize::try_from(asked) != Ok(length)) {
        return Err("has vectors of another length than was asked for");
    }
    if vectors.iter().flatten().any(|number| !number.is_finite()) {
        return Err("has a number that is not finite");
    }
    Ok(vectors)
}
