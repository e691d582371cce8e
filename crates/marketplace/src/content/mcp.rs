//! `mcp`: where a Model Context Protocol server is, and how to be let in.

use super::{ContentError, SecretHeaders, callable, json, rule};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, fmt};
use url::Url;

/// A server that speaks MCP over streamable HTTP. Prints nothing of its address.
#[derive(Clone, PartialEq, Eq)]
pub struct McpEndpoint {
    digest: [u8; 32],
    url: Url,
    headers: SecretHeaders,
    tools: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    tools: Option<Vec<String>>,
}

impl McpEndpoint {
    /// Reads `{"url", "headers"?, "tools"?}`.
    ///
    /// # Errors
    /// [`ContentError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ContentError> {
        let written: Written = json(bytes)?;
        let url = callable(&written.url).ok_or(ContentError::Rule {
            field: "url",
            problem: "must be an http or https address",
        })?;
        let named = |name: &String| (1..=128).contains(&name.len()) && !name.chars().any(char::is_control);
        let tools = written.tools.as_deref().unwrap_or_default();
        rule(
            tools.len() <= 128 && tools.iter().all(named),
            "tools",
            "must be at most 128 names",
        )?;
        Ok(Self {
            digest: Sha256::digest(bytes).into(),
            url,
            headers: SecretHeaders::checked(written.headers)?,
            tools: written.tools,
        })
    }

    /// SHA-256 of the content, by which what is known of the server is found again.
    pub const fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Where it is.
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// What to send with every request.
    pub const fn headers(&self) -> &SecretHeaders {
        &self.headers
    }

    /// Whether the creator offers this tool of the server; all of them, unless some are named.
    pub fn offers(&self, tool: &str) -> bool {
        self.tools
            .as_ref()
            .is_none_or(|tools| tools.iter().any(|name| name == tool))
    }
}

impl fmt::Debug for McpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("McpEndpoint")
    }
}
