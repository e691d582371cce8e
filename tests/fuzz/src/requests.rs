//! Bodies of requests: what is accepted keeps its meaning on its way to a provider.

use bytes::Bytes;
use haithe_inference::{
    catalogue::{Capabilities, Model, OutputField, Price, Tokenizer},
    request::{ChatRequest, EmbeddingRequest, RequestLimits},
};
use haithe_kernel::ModelId;
use serde_json::Value;

/// Names no request names by chance.
const UPSTREAM_NAME: &str = "the-provider-s-name";
const MOST: u64 = 77;

/// The body, as both kinds of request.
pub fn run(data: &[u8]) {
    let limits = RequestLimits::default();
    let body = Bytes::copy_from_slice(data);
    if let Ok(request) = EmbeddingRequest::parse(body.clone(), limits) {
        std::hint::black_box(&request);
    }
    let Ok(request) = ChatRequest::parse(body.clone(), limits) else {
        return;
    };
    std::hint::black_box(request.text());
    assert!((1..=limits.choices).contains(&request.choices()));
    assert_ne!(request.max_output(), Some(0));
    // Numbers and escapes that only the provider looks at may be beyond what a `Value` holds.
    let Ok(given) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    for field in [OutputField::MaxTokens, OutputField::MaxCompletionTokens] {
        forwarded(&request, &given, field);
    }
}

/// What the provider gets: its name for the model, the bound, usage if streamed; all else as given.
fn forwarded(request: &ChatRequest, given: &Value, field: OutputField) {
    let sent = request.for_upstream(&model(field), MOST);
    let again = ChatRequest::parse(sent.clone(), RequestLimits::default()).expect("still a request");
    assert_eq!(again.model(), Some(UPSTREAM_NAME));
    assert_eq!(again.stream(), request.stream());
    assert_eq!(again.choices(), request.choices());
    assert_eq!(again.media(), request.media());
    let bound = request.max_output().map_or(MOST, |stated| stated.min(MOST));
    assert_eq!(again.max_output(), Some(bound), "the bound that the hold covers");
    assert!(!request.stream() || again.include_usage(), "usage is asked for");
    let sent: Value = serde_json::from_slice(&sent).expect("still JSON");
    const OURS: [&str; 4] = ["model", "max_tokens", "max_completion_tokens", "stream_options"];
    let others = |value: &Value| {
        let mut fields = value.as_object().cloned().unwrap_or_default();
        fields.retain(|name, _| !OURS.contains(&name.as_str()));
        fields
    };
    assert_eq!(
        others(&sent),
        others(given),
        "everything else arrives as it was given"
    );
}

fn model(output_field: OutputField) -> Model {
    Model {
        id: ModelId(1),
        name: "public".into(),
        aliases: Vec::new(),
        display_name: "Public".into(),
        provider: "p".into(),
        upstream_name: UPSTREAM_NAME.into(),
        active: true,
        price: Price::default(),
        context: 1_000,
        max_output: 100,
        prompt_overhead: 0,
        tokenizer: Tokenizer::default(),
        image_tokens: None,
        output_field,
        capabilities: Capabilities::default(),
        fallbacks: Vec::new(),
    }
}
