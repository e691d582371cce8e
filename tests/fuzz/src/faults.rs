//! What providers say when they fail: read without trouble, bounded, and never about our key.

use haithe_inference::{CompletionError, ErrorObject, fault::Fault, ports::UpstreamError};

/// The first two bytes choose a status; the rest is the body.
pub fn run(data: &[u8]) {
    let Some(([high, low], body)) = data.split_first_chunk() else {
        return;
    };
    let status = 300 + u16::from_be_bytes([*high, *low]) % 300;
    let error = Fault::of_status(status, body, None);
    if let UpstreamError::Refused { status, message, .. } = &error {
        assert!((400..500).contains(status), "{status} is the caller's");
        assert!(message.chars().count() <= 2_000 && !message.is_empty());
    }
    let object = ErrorObject::from(&CompletionError::Upstream(error));
    assert!(!object.class.is_empty() && object.code.is_some());
    let event = object.event();
    let event = std::str::from_utf8(&event).expect("text");
    assert!(event.starts_with("data: {\"error\":{") && event.ends_with("}\n\n"));
    assert_eq!(
        event.matches('\n').count(),
        2,
        "one event, whatever the provider wrote"
    );
    if let Some(fault) = Fault::read(body) {
        std::hint::black_box(fault.within_answer());
    }
}
