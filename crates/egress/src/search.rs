//! Search engines for the web, behind inference's port `WebSearch`.
//!
//! The operator configures one, with its address and key; users name neither, so its address may be
//! inside the network. Three answers are read: SearXNG's (`GET /search?format=json`), Brave's
//! (`GET /res/v1/web/search`) and Tavily's (`POST /search`). What is found is a stranger's text; only
//! addresses that a browser opens are kept.

use async_trait::async_trait;
use haithe_inference::agent::{SearchError, SearchHit, WebSearch};
use reqwest::{Client, RequestBuilder, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::time::Duration;
use url::Url;

/// Longest time for a search.
const WITHIN: Duration = Duration::from_secs(10);
/// Most bytes of an answer.
const MOST_BYTES: usize = 2 << 20;

/// Whose answers are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchDialect {
    /// <https://docs.searxng.org/dev/search_api.html>
    SearXng,
    /// <https://api-dashboard.search.brave.com/app/documentation/web-search>
    Brave,
    /// <https://docs.tavily.com/documentation/api-reference/endpoint/search>
    Tavily,
}

/// An engine, as configured.
#[derive(Debug, Clone)]
pub struct SearchSettings {
    /// Whose answers are read.
    pub dialect: SearchDialect,
    /// The engine's own address, with the path.
    pub url: Url,
    /// Its key; SearXNG needs none.
    pub key: Option<SecretString>,
    /// Results asked for.
    pub results: usize,
}

/// A search engine over HTTP.
pub struct SearchEngine {
    client: Client,
    settings: SearchSettings,
}

impl SearchEngine {
    /// An engine with these settings.
    ///
    /// # Errors
    /// When the system's certificates are unreadable.
    pub fn new(settings: SearchSettings) -> Result<Self, crate::SetupError> {
        let client = Client::builder()
            .timeout(WITHIN)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { client, settings })
    }

    fn request(&self, query: &str) -> RequestBuilder {
        let SearchSettings {
            dialect,
            url,
            key,
            results,
        } = &self.settings;
        let key = key.as_ref().map(ExposeSecret::expose_secret);
        let count = results.to_string();
        let get = |pairs: &[(&str, &str)]| {
            let mut url = url.clone();
            url.query_pairs_mut().extend_pairs(pairs);
            self.client.get(url)
        };
        match dialect {
            SearchDialect::SearXng => get(&[("q", query), ("format", "json")]),
            SearchDialect::Brave => {
                let request = get(&[("q", query), ("count", &count)]);
                request.header("x-subscription-token", key.unwrap_or_default())
            }
            SearchDialect::Tavily => {
                let body = json!({"query": query, "max_results": results});
                let request = self.client.post(url.clone()).bearer_auth(key.unwrap_or_default());
                request
                    .header("content-type", "application/json")
                    .body(body.to_string())
            }
        }
    }

    async fn ask(&self, query: &str) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let answer = self
            .request(query)
            .header("accept", "application/json")
            .send()
            .await;
        // The address may carry what the operator wants nobody to read.
        let mut answer = answer.map_err(reqwest::Error::without_url)?;
        if !answer.status().is_success() {
            return Err(format!("the engine answers with status {}", answer.status().as_u16()).into());
        }
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
            if body.len() + piece.len() > MOST_BYTES {
                return Err("the engine's answer is too large".into());
            }
            body.extend_from_slice(&piece);
        }
        Ok(serde_json::from_slice(&body)?)
    }
}

#[async_trait]
impl WebSearch for SearchEngine {
    async fn search(&self, query: &str) -> Result<Vec<SearchHit>, SearchError> {
        let answer = self.ask(query).await.map_err(SearchError)?;
        Ok(hits(self.settings.dialect, &answer, self.settings.results))
    }
}

/// The results of an answer; whatever has another shape is left out.
fn hits(dialect: SearchDialect, answer: &Value, most: usize) -> Vec<SearchHit> {
    let (results, excerpt) = match dialect {
        SearchDialect::SearXng | SearchDialect::Tavily => (answer.get("results"), "content"),
        SearchDialect::Brave => (answer.pointer("/web/results"), "description"),
    };
    let results = results.and_then(Value::as_array).into_iter().flatten();
    let hits = results.filter_map(|result| {
        let text = |name: &str| result.get(name).and_then(Value::as_str);
        let url = Url::parse(text("url")?).ok()?;
        matches!(url.scheme(), "http" | "https").then(|| SearchHit {
            title: text("title").unwrap_or_default().to_owned(),
            url: url.into(),
            excerpt: text(excerpt).unwrap_or_default().to_owned(),
        })
    });
    hits.take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// Answers one request with `answer` and gives what was asked.
    fn engine(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/find", listener.local_addr().unwrap());
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            let mut piece = [0; 4096];
            loop {
                let read = stream.read(&mut piece).unwrap();
                asked.extend_from_slice(&piece[..read]);
                let text = String::from_utf8_lossy(&asked);
                let whole = match text.split_once("\r\n\r\n") {
                    Some((head, body)) => {
                        let length = head.lines().find_map(|line| {
                            line.to_lowercase().strip_prefix("content-length: ")?.parse().ok()
                        });
                        body.len() >= length.unwrap_or(0usize)
                    }
                    None => false,
                };
                if whole || read == 0 {
                    break;
                }
            }
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
                answer.len()
            )
            .unwrap();
            String::from_utf8(asked).unwrap()
        });
        (url, serving)
    }

    async fn found(dialect: SearchDialect, answer: &'static str) -> (Vec<SearchHit>, String) {
        let (url, serving) = engine(answer);
        let settings = SearchSettings {
            dialect,
            url: url.parse().unwrap(),
            key: Some("secret".to_owned().into()),
            results: 2,
        };
        let hits = SearchEngine::new(settings)
            .unwrap()
            .search("a & b")
            .await
            .unwrap();
        (hits, serving.join().unwrap())
    }

    fn hit(title: &str, url: &str, excerpt: &str) -> SearchHit {
        SearchHit {
            title: title.into(),
            url: url.into(),
            excerpt: excerpt.into(),
        }
    }

    #[tokio::test]
    async fn searxng_is_asked_for_json_and_its_results_are_read() {
        let answer = r#"{"query":"x","results":[{"url":"https://a.example/1","title":"A","content":"one"},
            {"url":"javascript:alert(1)","title":"B"},{"title":"no address"},
            {"url":"http://c.example/","title":"C"},{"url":"http://d.example/","title":"D"}]}"#;
        let (hits, asked) = found(SearchDialect::SearXng, answer).await;
        assert_eq!(
            hits,
            [
                hit("A", "https://a.example/1", "one"),
                hit("C", "http://c.example/", "")
            ]
        );
        assert!(asked.starts_with("GET /find?q=a+%26+b&format=json "), "{asked}");
        assert!(!asked.contains("secret"), "{asked}");
    }

    #[tokio::test]
    async fn brave_gets_its_key_in_a_header() {
        let answer = r#"{"web":{"results":[{"url":"https://a.example/","title":"A","description":"one"}]}}"#;
        let (hits, asked) = found(SearchDialect::Brave, answer).await;
        assert_eq!(hits, [hit("A", "https://a.example/", "one")]);
        assert!(asked.starts_with("GET /find?q=a+%26+b&count=2 "), "{asked}");
        assert!(asked.contains("x-subscription-token: secret\r\n"), "{asked}");
    }

    #[tokio::test]
    async fn tavily_is_posted_to() {
        let answer = r#"{"results":[{"url":"https://a.example/","title":"A","content":"one","score":0.9}]}"#;
        let (hits, asked) = found(SearchDialect::Tavily, answer).await;
        assert_eq!(hits, [hit("A", "https://a.example/", "one")]);
        assert!(asked.starts_with("POST /find "), "{asked}");
        assert!(asked.contains("authorization: Bearer secret\r\n"), "{asked}");
        assert!(asked.ends_with(r#"{"query":"a & b","max_results":2}"#), "{asked}");
    }

    #[tokio::test]
    async fn an_answer_that_is_none_is_an_error_without_the_key() {
        let (url, serving) = engine("<html>");
        let settings = SearchSettings {
            dialect: SearchDialect::SearXng,
            url: url.parse().unwrap(),
            key: Some("secret".to_owned().into()),
            results: 2,
        };
        let error = SearchEngine::new(settings)
            .unwrap()
            .search("x")
            .await
            .unwrap_err();
        serving.join().unwrap();
        let told = format!("{error} {error:?}");
        assert!(!told.contains("secret") && !told.contains("127.0.0.1"), "{told}");
    }
}
