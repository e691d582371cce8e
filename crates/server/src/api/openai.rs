//! `/api/v1beta/openai`: OpenAI's dialect. No envelope; failures are OpenAI's error object.

pub mod completions;
pub mod embeddings;
pub mod models;
mod stream;

pub use completions::Calls;
