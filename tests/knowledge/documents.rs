//! Every format through the child process.

use crate::made::{limits, page, pdf, read, read_within, reader};
use haithe_documents::ChildDocuments;
use haithe_marketplace::{
    knowledge::{Format, Place, ReadLimits},
    ports::{Documents, ExtractError},
};
use std::time::Duration;

#[tokio::test]
async fn a_pdf_is_cited_by_page() {
    let file = pdf(&[
        ("", page(&["The lamp burns all night.", "Nobody knows why."])),
        ("", page(&[])),
        ("", page(&["The pump hums."])),
    ]);
    let chunks = read(Format::Pdf, &file).await.unwrap();
    let found: Vec<_> = chunks
        .iter()
        .map(|chunk| (chunk.text.as_str(), &chunk.place))
        .collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].0.contains("burns all night") && found[0].1 == &Place::Page(1),
        "{found:?}"
    );
    assert_eq!(found[1], ("The pump hums.", &Place::Page(3)));
}

#[tokio::test]
async fn text_pages_and_tables_are_read() {
    let text = read(Format::Text, "# Hours\nFrom nine.\n".as_bytes())
        .await
        .unwrap();
    assert_eq!(text[0].place, Place::Heading("Hours".to_owned()));
    let html = read(Format::Html, b"<title>T</title><h1>Hours</h1><p>From nine.")
        .await
        .unwrap();
    assert_eq!(
        (html[0].text.as_str(), &html[0].place),
        ("Hours\n\nFrom nine.", &Place::Heading("Hours".to_owned()))
    );
    let csv = read(Format::Csv, b"day,open\nMonday,9\nTuesday,10\n")
        .await
        .unwrap();
    assert_eq!(csv[0].text, "day: Monday; open: 9\nday: Tuesday; open: 10");
    assert_eq!(csv[0].place, Place::Rows(2, 3));
}

#[tokio::test]
async fn what_cannot_be_read_says_why() {
    assert!(matches!(
        read(Format::Pdf, b"no pdf").await,
        Err(ExtractError::Malformed(Format::Pdf))
    ));
    assert!(matches!(
        read(Format::Text, b"\x7fELF\0").await,
        Err(ExtractError::Malformed(Format::Text))
    ));
    assert!(matches!(
        read(Format::Html, b"<p> </p>").await,
        Err(ExtractError::Empty)
    ));
    assert!(matches!(
        read(Format::Pdf, &pdf(&[("", page(&[]))])).await,
        Err(ExtractError::Empty)
    ));
}

#[tokio::test]
async fn many_are_read_at_once_and_alike() {
    let reader = reader();
    let file: std::sync::Arc<[u8]> = pdf(&[("", page(&["The pump hums."]))]).into();
    let all = (0..12).map(|_| reader.extract(Format::Pdf, file.clone(), limits()));
    let all = futures::future::try_join_all(all).await.unwrap();
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn a_reader_that_hangs_is_ended() {
    let hanging = ChildDocuments::of_program("/bin/sleep".into(), &["600"]);
    let limits = ReadLimits {
        within: Duration::from_millis(300),
        ..limits()
    };
    let read = hanging.extract(Format::Text, b"x"[..].into(), limits).await;
    assert!(matches!(read, Err(ExtractError::Late)), "{read:?}");
}

#[tokio::test]
async fn a_reader_that_cannot_start_or_talks_nonsense_is_no_document() {
    let missing = ChildDocuments::of_program("/nonexistent/haithe".into(), &[]);
    let read = missing.extract(Format::Text, b"x"[..].into(), limits()).await;
    assert!(matches!(read, Err(ExtractError::Unavailable(_))), "{read:?}");
    let nonsense = ChildDocuments::of_program("/bin/cat".into(), &[]);
    let read = nonsense.extract(Format::Text, b"x"[..].into(), limits()).await;
    assert!(matches!(read, Err(ExtractError::Malformed(_))), "{read:?}");
}

#[tokio::test]
async fn a_reader_that_never_stops_talking_is_cut_off() {
    let talking = ChildDocuments::of_program("/usr/bin/yes".into(), &[]);
    let limits = ReadLimits {
        text_bytes: 1_000,
        ..limits()
    };
    let read = talking.extract(Format::Text, b"x"[..].into(), limits).await;
    assert!(matches!(read, Err(ExtractError::TooLarge(_))), "{read:?}");
}

#[tokio::test]
async fn limits_are_the_callers() {
    let two = pdf(&[("", page(&["a"])), ("", page(&["b"]))]);
    let one_page = ReadLimits { pages: 1, ..limits() };
    let refused = read_within(Format::Pdf, &two, one_page).await;
    assert!(
        matches!(refused, Err(ExtractError::TooLarge("pages"))),
        "{refused:?}"
    );
    let three_bytes = ReadLimits { bytes: 3, ..limits() };
    let refused = read_within(Format::Text, b"four", three_bytes).await;
    assert!(
        matches!(refused, Err(ExtractError::TooLarge("bytes"))),
        "{refused:?}"
    );
}
