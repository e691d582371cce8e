//! The decoder of server-sent events: the same events however the bytes are cut, and no byte of an
//! event lost or moved.

use bytes::Bytes;
use haithe_inference::sse::{Block, Splitter};

/// The first byte says how far apart the cuts are; the rest is the stream.
pub fn run(data: &[u8]) {
    let Some((step, stream)) = data.split_first() else {
        return;
    };
    let whole = read(stream, stream.len().max(1));
    let bytewise = read(stream, 1);
    let cut = read(stream, usize::from(*step).max(1));
    assert_eq!(whole, bytewise, "cut at every byte");
    assert_eq!(whole, cut, "cut at every {step} bytes");
}

/// The data of all events of a stream that arrives in pieces of this size.
fn read(stream: &[u8], step: usize) -> Vec<Vec<u8>> {
    let mut splitter = Splitter::default();
    let mut found = Vec::new();
    let mut passed = 0;
    for piece in stream.chunks(step) {
        let block = splitter
            .push(Bytes::copy_from_slice(piece))
            .expect("small events");
        passed += block.iter().map(|block| block.bytes.len()).sum::<usize>();
        found.extend(block.iter().flat_map(events));
    }
    let last = splitter.finish();
    passed += last.iter().map(|block| block.bytes.len()).sum::<usize>();
    found.extend(last.iter().flat_map(events));
    // The blank line of an unfinished event is added; nothing else is.
    assert!(passed <= stream.len() + 2, "{passed} bytes of {}", stream.len());
    found
}

/// The data of a block's events, whose ranges must cover it.
fn events(block: &Block) -> Vec<Vec<u8>> {
    let mut at = 0;
    let mut found = Vec::new();
    for event in block.events() {
        assert_eq!(event.range.start, at, "events follow one another");
        assert!(event.range.end > at && event.range.end <= block.bytes.len());
        at = event.range.end;
        found.extend(event.data.map(|data| data.into_owned()));
    }
    assert_eq!(at, block.bytes.len(), "events cover their block");
    found
}
