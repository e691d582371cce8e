//! Splitting: the same events however the bytes are cut.

use super::*;
use proptest::prelude::*;

/// Every event's data, in order; `None` for those without any.
fn events(splitter: &mut Splitter, read: &[u8]) -> Vec<Option<Vec<u8>>> {
    let block = splitter.push(Bytes::copy_from_slice(read)).unwrap();
    block.map_or_else(Vec::new, |block| data(&block))
}

fn data(block: &Block) -> Vec<Option<Vec<u8>>> {
    block
        .events()
        .map(|event| event.data.map(std::borrow::Cow::into_owned))
        .collect()
}

fn all(text: &[u8], cuts: &[usize]) -> Vec<Option<Vec<u8>>> {
    let mut splitter = Splitter::default();
    let mut found = Vec::new();
    let mut from = 0;
    for cut in cuts.iter().copied().chain([text.len()]) {
        found.extend(events(&mut splitter, &text[from..cut]));
        from = cut;
    }
    found.extend(splitter.finish().iter().flat_map(data));
    // An event without data is nothing to a reader; where line endings are cut, there may be more.
    found.retain(Option::is_some);
    found
}

fn texts(texts: &[&str]) -> Vec<Option<Vec<u8>>> {
    texts.iter().map(|text| Some(text.as_bytes().to_vec())).collect()
}

#[test]
fn the_grammars_own_examples_are_read() {
    for (text, expected) in [
        ("data: YHOO\ndata: +2\ndata: 10\n\n", vec!["YHOO\n+2\n10"]),
        (
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            vec!["first event", "second event", " third event"],
        ),
        ("data\n\ndata\ndata\n\ndata:\n\n", vec!["", "\n", ""]),
        ("data:test\n\ndata: test\n\n", vec!["test", "test"]),
        (
            "\u{feff}data: a\r\n\r\ndata: b\r\rdata: c\n\n",
            vec!["a", "b", "c"],
        ),
        ("event: x\nretry: 10\ndatabase: no\ndata: yes\n\n", vec!["yes"]),
        ("data: unfinished", vec!["unfinished"]),
    ] {
        assert_eq!(all(text.as_bytes(), &[]), texts(&expected), "{text:?}");
    }
}

#[test]
fn every_cut_of_a_stream_gives_the_same_events() {
    let text = "\u{feff}: hello\r\n\r\ndata: {\"a\":1}\r\n\r\ndata: one\ndata: two\n\n\rdata: [DONE]\r\r\n";
    let whole = all(text.as_bytes(), &[]);
    assert_eq!(whole, texts(&["{\"a\":1}", "one\ntwo", "[DONE]"]));
    for first in 0..=text.len() {
        for second in first..=text.len() {
            assert_eq!(
                all(text.as_bytes(), &[first, second]),
                whole,
                "cut at {first} and {second}"
            );
        }
    }
    let every_byte: Vec<usize> = (0..text.len()).collect();
    assert_eq!(all(text.as_bytes(), &every_byte), whole);
}

#[test]
fn whole_events_are_passed_on_without_a_copy_and_without_waiting() {
    let read = Bytes::from_static(b"data: a\n\ndata: b\n\ndata: c");
    let mut splitter = Splitter::default();
    let block = splitter.push(read.clone()).unwrap().unwrap();
    assert_eq!(&block.bytes[..], b"data: a\n\ndata: b\n\n");
    assert_eq!(block.bytes.as_ptr(), read.as_ptr());
    let ranges: Vec<_> = block.events().map(|event| event.range).collect();
    assert_eq!(ranges, [0..9, 9..18]);
    let rest = splitter.push(Bytes::from_static(b"\n\n")).unwrap().unwrap();
    assert_eq!(&rest.bytes[..], b"data: c\n\n");
}

#[test]
fn an_event_that_never_ends_is_refused() {
    let mut splitter = Splitter::default();
    let piece = Bytes::from(vec![b'x'; 1024 * 1024]);
    let pushed: Result<Vec<_>, _> = (0..9).map(|_| splitter.push(piece.clone())).collect();
    assert_eq!(pushed, Err(EventTooLarge));
}

proptest! {
    #[test]
    fn any_bytes_cut_anywhere_give_the_same_data(
        text in "(data: ?[a-c]{0,3}|: c|id: 1|x|)((\r\n|\n|\r)(data:[a-c]{0,2}|:|)){0,8}",
        cuts in prop::collection::vec(0usize..80, 0..6),
    ) {
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        prop_assert_eq!(all(bytes, &cuts), all(bytes, &[]));
    }

    #[test]
    fn nothing_is_lost_and_nothing_is_added(reads in prop::collection::vec("[ab\n]{0,6}", 0..12)) {
        let mut splitter = Splitter::default();
        let mut out = Vec::new();
        for read in &reads {
            if let Some(block) = splitter.push(Bytes::copy_from_slice(read.as_bytes())).unwrap() {
                let mut at = 0;
                for event in block.events() {
                    prop_assert_eq!(event.range.start, at);
                    at = event.range.end;
                }
                prop_assert_eq!(at, block.bytes.len());
                out.extend_from_slice(&block.bytes);
            }
        }
        let rest = splitter.finish().map_or_else(Vec::new, |block| block.bytes.to_vec());
        let rest = rest.strip_suffix(b"\n\n").unwrap_or(&rest);
        out.extend_from_slice(rest);
        prop_assert_eq!(String::from_utf8(out).unwrap(), reads.concat());
    }
}
