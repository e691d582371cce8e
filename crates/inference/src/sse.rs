//! Server-sent events, split incrementally and without copying whole ones.
//!
//! The grammar is WHATWG HTML §9.2.6: lines end with CRLF, LF or CR, a blank line ends an event,
//! `data:` lines of one event are joined by LF, lines that begin with a colon are comments, and a
//! byte order mark may come first. Reads may be cut anywhere, even inside a CRLF.

use bytes::{Buf, Bytes, BytesMut};
use std::{borrow::Cow, ops::Range};

/// An event that is larger than this is no event of a chat.
pub const MOST_EVENT_BYTES: usize = 8 * 1024 * 1024;

/// The upstream sent an event larger than [`MOST_EVENT_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than {MOST_EVENT_BYTES} bytes")]
pub struct EventTooLarge;

/// Cuts a stream of bytes into blocks of whole events.
#[derive(Debug, Default)]
pub struct Splitter {
    /// The beginning of an event whose end has not come yet.
    carry: BytesMut,
    scan: Scan,
    /// Whether the first block of the stream is behind us.
    begun: bool,
}

impl Splitter {
    /// Takes a read and gives the events that it completes, in one block, if it completes any.
    ///
    /// # Errors
    /// [`EventTooLarge`] when an event grows beyond the bound.
    pub fn push(&mut self, mut read: Bytes) -> Result<Option<Block>, EventTooLarge> {
        if self.carry.is_empty() {
            self.scan.skip_tail_of_crlf(&mut read);
            let end = self.scan.run(&read);
            let block = read.split_to(end);
            self.carry.extend_from_slice(&read);
            self.keep(block, end)
        } else {
            self.carry.extend_from_slice(&read);
            let end = self.scan.run(&self.carry);
            let block = self.carry.split_to(end).freeze();
            self.keep(block, end)
        }
    }

    /// What is left when the stream ends without the blank line: the last event, completed.
    pub fn finish(&mut self) -> Option<Block> {
        if self.carry.is_empty() {
            return None;
        }
        self.carry.extend_from_slice(b"\n\n");
        let mut bytes = self.carry.split().freeze();
        self.scan = Scan::default();
        self.drop_mark(&mut bytes);
        Some(Block { bytes })
    }

    fn keep(&mut self, mut bytes: Bytes, end: usize) -> Result<Option<Block>, EventTooLarge> {
        self.scan.forget(end);
        self.drop_mark(&mut bytes);
        if self.carry.len() > MOST_EVENT_BYTES {
            return Err(EventTooLarge);
        }
        Ok((!bytes.is_empty()).then_some(Block { bytes }))
    }

    /// Drops a byte order mark from the very first block.
    fn drop_mark(&mut self, block: &mut Bytes) {
        if !self.begun && !block.is_empty() {
            self.begun = true;
            if block.starts_with(b"\xef\xbb\xbf") {
                block.advance(3);
            }
        }
    }
}

/// Where scanning stands in the bytes at hand.
#[derive(Debug, Default)]
struct Scan {
    /// Everything before this has been looked at.
    at: usize,
    /// Where the current line began.
    line: usize,
    /// The last byte looked at was a CR: an LF that follows belongs to it.
    after_cr: bool,
}

impl Scan {
    /// Looks at the rest of `bytes`; gives the end of the last whole event.
    fn run(&mut self, bytes: &[u8]) -> usize {
        let mut end = 0;
        if self.after_cr && bytes.get(self.at) == Some(&b'\n') {
            self.at += 1;
            self.line = self.at;
        }
        if self.at < bytes.len() {
            self.after_cr = false;
        }
        while let Some(offset) = memchr::memchr2(b'\n', b'\r', bytes.get(self.at..).unwrap_or_default()) {
            let found = self.at + offset;
            let blank = found == self.line;
            let next = line_end(bytes, found);
            let cut_here = next == bytes.len() && bytes.get(found) == Some(&b'\r');
            if blank && cut_here && found.checked_sub(1).and_then(|before| bytes.get(before)) == Some(&b'\n')
            {
                // The lines before end with CRLF: this one's LF is on its way.
                self.at = found;
                return end;
            }
            self.after_cr = cut_here;
            (self.at, self.line) = (next, next);
            if blank {
                end = next;
            }
        }
        self.at = bytes.len();
        end
    }

    /// The first `end` bytes are gone.
    fn forget(&mut self, end: usize) {
        self.at -= end.min(self.at);
        self.line -= end.min(self.line);
    }

    /// The CR that ended the last block was the first half of a CRLF: the other half is nothing.
    fn skip_tail_of_crlf(&mut self, read: &mut Bytes) {
        if self.after_cr && !read.is_empty() {
            self.after_cr = false;
            if read.starts_with(b"\n") {
                read.advance(1);
            }
        }
    }
}

/// The index after the line ending that begins at `at`.
fn line_end(bytes: &[u8], at: usize) -> usize {
    match (bytes.get(at), bytes.get(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => at + 2,
        _ => at + 1,
    }
}

/// One or more whole events, as they arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The bytes, blank lines included.
    pub bytes: Bytes,
}

impl Block {
    /// The events in it, in order.
    pub fn events(&self) -> Events<'_> {
        Events {
            bytes: &self.bytes,
            at: 0,
        }
    }
}

/// An event within a block.
#[derive(Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Where it stands in the block, its blank line included.
    pub range: Range<usize>,
    /// Its data; `None` for comments and other events without any. Borrowed unless it spans lines.
    pub data: Option<Cow<'a, [u8]>>,
}

/// Iterates over the events of a block.
#[derive(Debug)]
pub struct Events<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Events<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        let start = self.at;
        let mut data: Option<Cow<'a, [u8]>> = None;
        while self.at < self.bytes.len() {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let length = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let line = rest.get(..length).unwrap_or_default();
            self.at = line_end(self.bytes, self.at + length).min(self.bytes.len());
            if line.is_empty() {
                break;
            }
            let Some(value) = data_of(line) else { continue };
            match &mut data {
                None => data = Some(Cow::Borrowed(value)),
                Some(joined) => {
                    joined.to_mut().push(b'\n');
                    joined.to_mut().extend_from_slice(value);
                }
            }
        }
        (self.at > start).then_some(Event {
            range: start..self.at,
            data,
        })
    }
}

/// The value of a `data` line.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"data")? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
