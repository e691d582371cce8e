//! What is inside a product, read by its category.
//!
//! Creators write it, so every form is read strictly and within bounds. A refusal names the place, and
//! never repeats what stands there: only the creator may know it.

mod mcp;
mod prompts;
mod rpc;

pub use mcp::McpEndpoint;
pub use prompts::PromptSet;
pub use rpc::{ArgumentError, ParameterType, Place, RpcParameter, RpcTool};

use crate::{product::Category, sealing::Plaintext};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use std::{fmt, sync::Arc};
use url::Url;

/// Most bytes of content that is JSON.
pub(crate) const MOST_JSON: usize = 256 << 10;
/// Most headers of a tool or a server.
const MOST_HEADERS: usize = 32;

/// Why content is not what its category says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// Not JSON, or another form. Line and column count from 1.
    #[error("the content is not of the documented form (line {line}, column {column})")]
    Form {
        /// The place as far as the documented form names it (RFC 6901).
        pointer: String,
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// Larger than is read.
    #[error("the content is larger than {0} bytes")]
    TooLarge(usize),
    /// A rule that JSON alone does not express.
    #[error("the content's {field} {problem}")]
    Rule {
        /// Which field.
        field: &'static str,
        /// What it must be.
        problem: &'static str,
    },
}

impl ContentError {
    /// The place in the content (RFC 6901), where it is JSON.
    pub fn pointer(&self) -> Option<String> {
        match self {
            Self::Form { pointer, .. } => Some(pointer.clone()),
            Self::Rule { field, .. } if NAMES.contains(field) => Some(format!("/{field}")),
            // The rule is about the document as a whole.
            Self::Rule { .. } => Some(String::new()),
            Self::TooLarge(_) => None,
        }
    }
}

/// The names that the documented forms have. Other names are the creator's own words, which nobody else reads.
const NAMES: &[&str] = &[
    "name",
    "description",
    "method",
    "url",
    "headers",
    "parameters",
    "tools",
    "in",
    "type",
    "required",
];

/// The path to a place in the content, up to the first name that is the creator's own.
fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } if NAMES.contains(&key.as_str()) => pointer.push_str(&format!("/{key}")),
            Segment::Map { .. } | Segment::Enum { .. } | Segment::Unknown => break,
        }
    }
    pointer
}

/// The content of a product, ready for use.
#[derive(Debug, Clone)]
pub enum ProductContent {
    /// Instructions for the system role.
    Prompts(PromptSet),
    /// A call that the model may make.
    Tool(RpcTool),
    /// A Model Context Protocol server.
    Mcp(McpEndpoint),
    /// A document to answer from, in the form that the category says.
    Knowledge {
        /// Its form.
        form: Category,
        /// Its bytes.
        bytes: Arc<Plaintext>,
    },
}

impl ProductContent {
    /// Reads the content of a product of this category.
    ///
    /// # Errors
    /// [`ContentError`] when it is not what the category says.
    pub fn read(category: Category, bytes: Arc<Plaintext>) -> Result<Self, ContentError> {
        match category {
            Category::PromptSet => PromptSet::parse(&bytes).map(Self::Prompts),
            Category::ToolRpc => RpcTool::parse(&bytes).map(Self::Tool),
            Category::Mcp => McpEndpoint::parse(&bytes).map(Self::Mcp),
            form @ (Category::KnowledgeText
            | Category::KnowledgeHtml
            | Category::KnowledgePdf
            | Category::KnowledgeCsv
            | Category::KnowledgeUrl) => Ok(Self::Knowledge { form, bytes }),
        }
    }
}

/// Reads JSON within bounds. The library's own text could repeat content, so only the place is kept.
fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ContentError> {
    if bytes.len() > MOST_JSON {
        return Err(ContentError::TooLarge(MOST_JSON));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let place = pointer(error.path());
        malformed(place, error.inner())
    })?;
    reader.end().map_err(|error| malformed(String::new(), &error))?;
    Ok(read)
}

fn malformed(pointer: String, error: &serde_json::Error) -> ContentError {
    ContentError::Form {
        pointer,
        line: error.line(),
        column: error.column(),
    }
}

/// Refuses `field` unless `good`.
fn rule(good: bool, field: &'static str, problem: &'static str) -> Result<(), ContentError> {
    if good {
        Ok(())
    } else {
        Err(ContentError::Rule { field, problem })
    }
}

/// Text that people wrote: 1 to `most` bytes, no control characters but line breaks and tabs.
fn is_prose(text: &str, most: usize) -> bool {
    let shown = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    !text.trim().is_empty() && text.len() <= most && text.chars().all(shown)
}

/// A header's name: a token of RFC 9110 §5.6.2.
fn is_token(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(token)
}

/// A header's value: what can be seen, and blanks inside.
fn is_header_value(value: &str) -> bool {
    value.len() <= 4_096
        && value.trim() == value
        && value
            .bytes()
            .all(|byte| (b' '..=b'~').contains(&byte) || byte == b'\t')
}

/// An address that may be called: http or https, a host, neither user name nor fragment.
fn callable(text: &str) -> Option<Url> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
    let url = Url::parse(text)
        .ok()
        .filter(|_| text.len() <= 2_048 && !text.contains(odd))?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none();
    plain.then_some(url)
}

/// Headers that carry a creator's credentials. They print their number only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretHeaders(Vec<(String, String)>);

impl SecretHeaders {
    /// Checks names and values.
    fn checked(headers: impl IntoIterator<Item = (String, String)>) -> Result<Self, ContentError> {
        let headers: Vec<_> = headers.into_iter().collect();
        rule(headers.len() <= MOST_HEADERS, "headers", "are more than 32")?;
        for (name, value) in &headers {
            rule(is_token(name), "headers", "have a name that is none")?;
            rule(is_header_value(value), "headers", "have a value that is none")?;
        }
        Ok(Self(headers))
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for SecretHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretHeaders({})", self.0.len())
    }
}

#[cfg(test)]
mod tests;
