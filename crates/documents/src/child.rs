//! The child: limits itself, reads one document from its standard input, answers on its standard output.

use crate::{
    chunk::chunks,
    html, pdf,
    section::Section,
    table, text,
    wire::{Answer, Excess, Order, Refusal},
};
use haithe_marketplace::knowledge::{Format, ReadLimits};
use rlimit::Resource;
use std::{
    io::{self, BufRead, Read, Write},
    process::ExitCode,
    thread,
};

/// The stack that documents are read on: libraries may recurse as deep as a document is nested.
const STACK_BYTES: usize = 64 << 20;
/// Open files: the three pipes, and a few for the system's own needs.
const FILES: u64 = 16;

/// Runs the child. The server starts it; nobody else needs to.
pub fn run() -> ExitCode {
    match answer(io::stdin().lock()).and_then(|answer| tell(&answer)) {
        Ok(()) => ExitCode::SUCCESS,
        // The server sees that there is no answer.
        Err(_) => ExitCode::FAILURE,
    }
}

fn answer(mut input: impl BufRead) -> io::Result<Answer> {
    let mut order = String::new();
    input.by_ref().take(4_096).read_line(&mut order)?;
    let Order { format, limits } = serde_json::from_str(&order)?;
    confine(&limits)?;
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

/// Gives up memory, time, files and the right to write any, for good.
fn confine(limits: &ReadLimits) -> io::Result<()> {
    let seconds = limits.within.as_secs().max(1);
    for (resource, most) in [
        (Resource::AS, limits.memory_bytes),
        (Resource::CPU, seconds),
        (Resource::NOFILE, FILES),
        (Resource::FSIZE, 0),
        (Resource::CORE, 0),
    ] {
        let (_, hard) = resource.get()?;
        let most = most.min(hard);
        // A second more until the system kills instead of asking.
        let last = if resource == Resource::CPU {
            (most + 1).min(hard)
        } else {
            most
        };
        resource.set(most, last)?;
    }
    Ok(())
}

fn tell(answer: &Answer) -> io::Result<()> {
    let mut output = io::BufWriter::new(io::stdout().lock());
    serde_json::to_writer(&mut output, answer)?;
    output.flush()
}
