//! A creator's tool and a model's arguments: whatever both say, the request goes where the creator's
//! address says, by its method, with its headers and parameters and nothing else.

use haithe_kernel::{FetchMethod, FetchRequest, Redirects};
use haithe_marketplace::content::RpcTool;
use serde_json::Value;
use std::collections::BTreeSet;
use url::Url;

/// A tool as its creator wrote it; behind a zero byte, arguments as a model wrote them.
pub fn run(data: &[u8]) {
    let mut halves = data.splitn(2, |byte| *byte == 0);
    let (Some(written), arguments) = (halves.next(), halves.next().unwrap_or_default()) else {
        return;
    };
    let Ok(tool) = RpcTool::parse(written) else {
        return;
    };
    let written: Value = serde_json::from_slice(written).expect("what parses is JSON");
    let arguments = String::from_utf8_lossy(arguments);
    let schema = tool.schema();
    assert_eq!(schema["additionalProperties"], false);
    let properties = schema["properties"].as_object().expect("an object");
    assert_eq!(properties.len(), names(&written, None).len());
    if let Ok(request) = tool.request(&arguments) {
        kept(&written, &request);
        declared(&written, &request);
    }
}

/// The names of the parameters in this place, or in all.
fn names<'a>(written: &'a Value, place: Option<&str>) -> BTreeSet<&'a str> {
    let parameters = written["parameters"].as_array().into_iter().flatten();
    parameters
        .filter(|parameter| place.is_none_or(|place| word(&parameter["in"]) == place))
        .filter_map(|parameter| parameter["name"].as_str())
        .collect()
}

/// A word of a fixed list, which may also be written as `{"word": null}`.
fn word(value: &Value) -> &str {
    let only = || value.as_object()?.keys().next().map(String::as_str);
    value.as_str().or_else(only).expect("a word")
}

/// Scheme, host, port, method, the path's form and the address's own query are the creator's.
fn kept(written: &Value, request: &FetchRequest) {
    let mut template = written["url"].as_str().expect("an address").to_owned();
    for name in names(written, Some("path")) {
        template = template.replace(&format!("{{{name}}}"), "x");
    }
    let template = Url::parse(&template).expect("an address");
    let url = Url::parse(&request.url).expect("an address");
    assert_eq!(url.scheme(), template.scheme(), "{url}");
    assert_eq!(url.host_str(), template.host_str(), "{url}");
    assert_eq!(
        url.port_or_known_default(),
        template.port_or_known_default(),
        "{url}"
    );
    assert_eq!(
        (url.username(), url.password(), url.fragment()),
        ("", None, None),
        "{url}"
    );
    assert_eq!(request.method, method(word(&written["method"])));
    assert_eq!(
        request.redirects,
        Redirects::Refused,
        "the address is the only one"
    );
    let segments = |url: &Url| url.path_segments().map(Iterator::count);
    assert_eq!(segments(&url), segments(&template), "{url}");
    let own: Vec<_> = template.query_pairs().collect();
    let sent: Vec<_> = url.query_pairs().collect();
    assert_eq!(
        sent.get(..own.len()),
        Some(&own[..]),
        "{url} begins with the query of {template}"
    );
    let more: BTreeSet<_> = sent.iter().skip(own.len()).map(|(name, _)| &**name).collect();
    let query = names(written, Some("query"));
    assert!(more.is_subset(&query), "{url} has no other query");
}

/// Headers and the body's fields are declared, and none can end its line.
fn declared(written: &Value, request: &FetchRequest) {
    let given = written["headers"].as_object().into_iter().flatten();
    let in_headers = names(written, Some("header"));
    let known: BTreeSet<String> = given
        .map(|(name, _)| name.as_str())
        .chain(in_headers)
        .chain(["content-type"])
        .map(str::to_ascii_lowercase)
        .collect();
    for (name, value) in &request.headers {
        assert!(known.contains(&name.to_ascii_lowercase()), "{name} is declared");
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'));
        assert!(!value.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    }
    let fields = names(written, Some("body"));
    if fields.is_empty() {
        assert!(request.body.is_empty());
    } else {
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        let body = body.as_object().expect("an object");
        assert!(body.keys().all(|name| fields.contains(name.as_str())));
    }
}

fn method(word: &str) -> FetchMethod {
    match word {
        "GET" => FetchMethod::Get,
        "POST" => FetchMethod::Post,
        "PUT" => FetchMethod::Put,
        "PATCH" => FetchMethod::Patch,
        "DELETE" => FetchMethod::Delete,
        other => panic!("{other} is no method of tools"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seeds are tools whose arguments fit: else the promises would not be looked at.
    #[test]
    fn the_seeds_make_requests() {
        for seed in [
            &include_bytes!("../corpus/rpc-tool/path-and-query")[..],
            include_bytes!("../corpus/rpc-tool/body"),
            include_bytes!("../corpus/rpc-tool/hostile"),
        ] {
            let mut halves = seed.splitn(2, |byte| *byte == 0);
            let tool = RpcTool::parse(halves.next().unwrap()).unwrap();
            let arguments = std::str::from_utf8(halves.next().unwrap()).unwrap();
            tool.request(arguments).unwrap();
        }
    }
}
