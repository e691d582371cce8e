//! The child: confines itself, reads one document from its standard input, answers on its standard output.

mod confine;

use crate::{
    chunk::chunks,
    html, pdf,
    section::Section,
    table, text,
    wire::{Answer, Excess, Order, Refusal},
};
use haithe_marketplace::knowledge::{Format, ReadLimits};
use std::{
    io::{self, BufRead, Read, Write},
    process::ExitCode,
    thread,
};

/// The stack that documents are read on: libraries may recurse as deep as a document is nested.
const STACK_BYTES: usize = 64 << 20;
/// The exit code of a child that could not confine itself and therefore read nothing.
pub(crate) const UNCONFINED: u8 = 3;

/// Why there is no answer.
enum Stopped {
    /// A limit or the filter could not be set.
    Unconfined,
    /// A pipe broke, or the order makes no sense.
    Pipe,
}

impl From<io::Error> for Stopped {
    fn from(_: io::Error) -> Self {
        Self::Pipe
    }
}

/// Runs the child. The server starts it; nobody else needs to.
pub fn run() -> ExitCode {
    match answer(io::stdin().lock()).and_then(|answer| Ok(tell(&answer)?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stopped::Unconfined) => ExitCode::from(UNCONFINED),
        // The server sees that there is no answer.
        Err(Stopped::Pipe) => ExitCode::FAILURE,
    }
}

fn answer(mut input: impl BufRead) -> Result<Answer, Stopped> {
    let mut order = String::new();
    input.by_ref().take(4_096).read_line(&mut order)?;
    let Order { format, limits } = serde_json::from_str(&order).map_err(io::Error::from)?;
    confine::confine(&limits).map_err(|_| Stopped::Unconfined)?;
    let most = limits.bytes.saturating_add(1);
    let mut bytes = Vec::new();
    input
        .take(u64::try_from(most).unwrap_or(u64::MAX))
        .read_to_end(&mut bytes)?;
    if bytes.len() > limits.bytes {
        return Ok(Answer::Refused(Refusal::TooLarge(Excess::Bytes)));
    }
    let reader = thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || read(format, &bytes, &limits))?;
    // A reader that panicked met something that it did not understand.
    Ok(reader.join().unwrap_or(Answer::Refused(Refusal::Malformed)))
}

fn read(format: Format, bytes: &[u8], limits: &ReadLimits) -> Answer {
    let sections: Result<Vec<Section>, Refusal> = match format {
        Format::Text => text::read(bytes, limits),
        Format::Html => html::read(bytes, limits),
        Format::Pdf => pdf::read(bytes, limits),
        Format::Csv => table::read(bytes, limits),
    };
    match sections.map(|sections| chunks(&sections, limits)) {
        Ok(pieces) if pieces.len() > limits.chunks => Answer::Refused(Refusal::TooLarge(Excess::Pieces)),
        Ok(pieces) => Answer::Pieces(pieces),
        Err(refusal) => Answer::Refused(refusal),
    }
}

fn tell(answer: &Answer) -> io::Result<()> {
    let mut output = io::BufWriter::new(io::stdout().lock());
    serde_json::to_writer(&mut output, answer)?;
    output.flush()
}
