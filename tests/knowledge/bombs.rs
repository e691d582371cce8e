//! Documents built to exhaust their reader. Each must be refused or read, within its limits, and
//! leave the reader ready for the next one.

use crate::made::{self, page, pdf, reader};
use flate2::{Compress, Compression, FlushCompress, write::ZlibEncoder};
use haithe_marketplace::{
    knowledge::{Chunk, Format, ReadLimits},
    ports::{Documents, ExtractError},
};
use std::{io::Write, time::Duration};

/// Reads a bomb, then something harmless with the same reader.
async fn defuse(format: Format, bytes: Vec<u8>, limits: ReadLimits) -> Result<usize, ExtractError> {
    let reader = reader();
    let read = reader.extract(format, bytes.into(), limits).await;
    let next = reader
        .extract(Format::Text, b"harmless"[..].into(), made::limits())
        .await;
    assert_eq!(next.unwrap()[0].text, "harmless");
    if let Ok(chunks) = &read {
        assert!(
            chunks
                .iter()
                .all(|chunk| chunk.text.chars().count() <= limits.chunk_chars)
        );
        assert!(chunks.iter().map(|chunk| chunk.text.len()).sum::<usize>() <= 2 * limits.text_bytes);
    }
    read.map(|chunks| chunks.len())
}

/// Limits that end whatever takes its time.
fn hasty() -> ReadLimits {
    ReadLimits {
        within: Duration::from_secs(5),
        ..ReadLimits::default()
    }
}

/// Limits that leave time and end whatever takes memory.
fn frugal() -> ReadLimits {
    ReadLimits {
        memory_bytes: 512 << 20,
        ..made::limits()
    }
}

/// A zlib stream of `mebibytes` of spaces, made by repeating the block of one: blocks refer back to
/// nothing but spaces. Its checksum is wrong, which nobody lives to see.
fn inflating(mebibytes: usize) -> Vec<u8> {
    let mut compressor = Compress::new(Compression::best(), true);
    let mut block = || {
        let mut block = Vec::with_capacity(64 << 10);
        compressor
            .compress_vec(&[b' '; 1 << 20], &mut block, FlushCompress::Sync)
            .unwrap();
        block
    };
    let mut stream = block();
    let next = block();
    for _ in 1..mebibytes {
        stream.extend_from_slice(&next);
    }
    stream
}

/// Compressed once.
fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn deeply_nested_html() {
    for tag in ["div", "b", "table", "span"] {
        let html = format!(
            "{}x{}",
            format!("<{tag}>").repeat(200_000),
            format!("</{tag}>").repeat(200_000)
        );
        let read = defuse(Format::Html, html.into_bytes(), hasty()).await;
        assert!(
            matches!(read, Ok(1) | Err(ExtractError::Malformed(_) | ExtractError::Late)),
            "{tag}: {read:?}"
        );
    }
}

#[tokio::test]
async fn html_of_attributes_and_formatting_that_multiplies() {
    let attributes = format!("<p {}>x</p>", "a=b ".repeat(500_000));
    let many = (0..3_000)
        .map(|n| format!("<font size={n}><p>"))
        .collect::<String>()
        + "x";
    for html in [attributes, many, "<".repeat(4 << 20), "&amp".repeat(1 << 20)] {
        let read = defuse(Format::Html, html.into_bytes(), hasty()).await;
        assert!(
            matches!(
                read,
                Ok(_) | Err(ExtractError::Malformed(_) | ExtractError::Late | ExtractError::TooLarge(_))
            ),
            "{read:?}"
        );
    }
}

#[tokio::test]
async fn a_pdf_whose_page_inflates_a_thousandfold() {
    // 4 GiB of spaces in 4 MiB.
    let stream = inflating(4_096);
    assert!(stream.len() < 8 << 20);
    let read = defuse(Format::Pdf, pdf(&[("/Filter /FlateDecode", stream)]), frugal()).await;
    assert!(
        matches!(read, Err(ExtractError::Malformed(_) | ExtractError::Late)),
        "{read:?}"
    );
}

#[tokio::test]
async fn a_pdf_compressed_over_and_over() {
    let mut stream = inflating(2_048);
    for _ in 0..3 {
        stream = deflated(&stream);
    }
    let filters = "/Filter [/FlateDecode /FlateDecode /FlateDecode /FlateDecode]";
    let read = defuse(Format::Pdf, pdf(&[(filters, stream)]), frugal()).await;
    assert!(
        matches!(read, Err(ExtractError::Malformed(_) | ExtractError::Late)),
        "{read:?}"
    );
}

#[tokio::test]
async fn a_pdf_whose_text_repeats_without_end() {
    // 60 MiB of text operators.
    let mut stream = page(&[]);
    stream.truncate(stream.len() - 2);
    stream.extend(b"(The pump hums and hums and hums and hums and hums.) Tj T*\n".repeat(1 << 20));
    stream.extend(b"ET");
    let read = defuse(
        Format::Pdf,
        pdf(&[("/Filter /FlateDecode", deflated(&stream))]),
        hasty(),
    )
    .await;
    assert!(
        matches!(
            read,
            Err(ExtractError::Malformed(_) | ExtractError::Late | ExtractError::TooLarge(_))
        ),
        "{read:?}"
    );
}

#[tokio::test]
async fn a_pdf_of_too_many_pages_or_of_itself() {
    let pages: Vec<_> = (0..2_001).map(|_| ("", page(&["x"]))).collect();
    let read = defuse(Format::Pdf, pdf(&pages), made::limits()).await;
    assert!(matches!(read, Err(ExtractError::TooLarge("pages"))), "{read:?}");
    let circle = b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n\
        2 0 obj\n<< /Type /Pages /Kids [2 0 R] /Count 1 >>\nendobj\n\
        trailer << /Size 3 /Root 1 0 R >>\nstartxref\n0\n%%EOF\n";
    let read = defuse(Format::Pdf, circle.to_vec(), made::limits()).await;
    assert!(read.is_err(), "{read:?}");
}

#[tokio::test]
async fn a_table_of_a_million_columns() {
    let table = format!("{}\n{}\n", "a,".repeat(1_000_000), "1,".repeat(1_000_000));
    let read = defuse(Format::Csv, table.into_bytes(), made::limits()).await;
    assert!(matches!(read, Err(ExtractError::TooLarge("columns"))), "{read:?}");
}

#[tokio::test]
async fn a_table_of_too_many_rows_or_of_one_name_repeated() {
    let read = defuse(Format::Csv, b"1\n".repeat(100_001), made::limits()).await;
    assert!(matches!(read, Err(ExtractError::TooLarge("rows"))), "{read:?}");
    // Every row would repeat the name.
    let table = format!("{}\n{}", "n".repeat(1 << 20), "1\n".repeat(10_000));
    let read = defuse(Format::Csv, table.into_bytes(), made::limits()).await;
    assert!(
        matches!(read, Err(ExtractError::TooLarge("bytes of text"))),
        "{read:?}"
    );
}

#[tokio::test]
async fn one_endless_line() {
    for (letter, mebibytes) in [("x", 4), ("a ", 4), ("漢", 4), ("\u{301}", 1)] {
        let line = letter.repeat((mebibytes << 20) / letter.len());
        for format in [Format::Text, Format::Csv] {
            let read = defuse(format, line.clone().into_bytes(), hasty()).await;
            assert!(
                matches!(read, Ok(_) | Err(ExtractError::Late)),
                "{letter:?} {format}: {read:?}"
            );
        }
    }
}

#[tokio::test]
async fn more_text_than_is_read() {
    let read = defuse(Format::Text, b"lamp ".repeat(2 << 20), made::limits()).await;
    assert!(
        matches!(read, Err(ExtractError::TooLarge("bytes of text"))),
        "{read:?}"
    );
}

#[tokio::test]
async fn headings_that_every_piece_would_carry() {
    // A heading of a megabyte above a thousand pieces.
    let text = format!("# {}\n{}", "lamp ".repeat(200_000), "pump ".repeat(200_000));
    let short = |chunk: &Chunk| chunk.place.to_string().len() <= 1_000;
    for (format, bytes) in [
        (Format::Text, text.clone()),
        (
            Format::Html,
            text.replacen("# ", "<h1>", 1).replacen('\n', "</h1>", 1),
        ),
    ] {
        let chunks = made::read(format, bytes.as_bytes()).await.unwrap();
        assert!(chunks.iter().all(short), "{format}");
    }
    let read = defuse(Format::Text, b"# a\n".repeat(50_001), made::limits()).await;
    assert!(matches!(read, Err(ExtractError::TooLarge("pieces"))), "{read:?}");
}
