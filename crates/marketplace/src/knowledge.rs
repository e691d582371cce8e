//! Use case: answer from knowledge that creators sell.
//!
//! A product's content is read once into pieces and indexed in memory; a question then finds the
//! pieces that may answer it, from all products of a project, each with the place it stands in. The
//! pieces are other people's words: [`quote`](quote::quote) makes them data for a model.

pub mod addresses;
mod document;
pub mod fuse;
mod library;
pub mod quote;
mod sense;
mod terms;
mod vectors;

pub use document::{Chunk, Format, Place, ReadLimits};
pub use library::{Content, KnowledgeError, Tools};
pub use terms::{Terms, fold};

use library::{Library, Shelf};
use std::sync::Arc;

/// Pieces of each product that compete for a place in the answer.
const CANDIDATES: u32 = 20;

/// A piece that may answer a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Passage {
    /// The product's name: the creator's own words.
    pub product: String,
    /// The page it was fetched from, for products that are addresses.
    pub address: Option<String>,
    /// Where in the document it stands.
    pub place: Place,
    /// The words.
    pub text: String,
    /// How well it fits; comparable within one answer only.
    pub score: f64,
}

/// Knowledge to answer from.
pub struct Knowledge {
    library: Library,
}

impl Knowledge {
    /// Composes the use case.
    pub fn new(tools: Tools, limits: ReadLimits) -> Self {
        Self {
            library: Library::new(tools, limits),
        }
    }

    /// Reads a product's content, unless it is in memory. A project that cannot do without one of
    /// its products asks this before it spends anything.
    ///
    /// # Errors
    /// [`KnowledgeError`], which names the product.
    pub async fn load(&self, content: &Content) -> Result<(), KnowledgeError> {
        self.library.shelf(content).await.map(drop)
    }

    /// The passages that may answer `question`, best first, with at most `budget` bytes of text.
    /// Products whose best passages are equally good take turns.
    ///
    /// # Errors
    /// [`KnowledgeError`], which names the product.
    pub async fn passages(
        &self,
        contents: &[Content],
        question: &str,
        budget: usize,
    ) -> Result<Vec<Passage>, KnowledgeError> {
        let terms = Terms::of(question);
        if terms.is_empty() {
            return Ok(Vec::new());
        }
        let mut shelves: Vec<Arc<Shelf>> = Vec::with_capacity(contents.len());
        for content in contents {
            shelves.push(self.library.shelf(content).await?);
        }
        let sensed = self.library.sense(&shelves, question).await;
        let mut rankings = Vec::with_capacity(shelves.len());
        for (product, shelf) in shelves.iter().enumerate() {
            let sense = sensed.as_ref().and_then(|sensed| sensed.of_shelf(product));
            let ranking = shelf.rank(&terms, sense, CANDIDATES).await?;
            let ranking = ranking.into_iter().map(|chunk| (product, chunk));
            rankings.push(ranking.collect::<Vec<_>>());
        }
        let mut passages = Vec::new();
        let mut left = budget;
        for ((product, chunk), score) in fuse::fuse(&rankings) {
            let found = contents.get(product).zip(shelves.get(product));
            let found = found.and_then(|(content, shelf)| Some((content, shelf.piece(chunk)?)));
            let Some((content, piece)) = found else { continue };
            let Some(rest) = left.checked_sub(piece.chunk.text.len()) else {
                break;
            };
            left = rest;
            passages.push(Passage {
                product: content.name.clone(),
                address: piece.address.map(str::to_owned),
                place: piece.chunk.place.clone(),
                text: piece.chunk.text.clone(),
                score,
            });
        }
        Ok(passages)
    }
}

#[cfg(test)]
mod tests;
