//! Tables: every row says its columns' names, so that it can be understood alone.

use crate::{
    section::{Section, Sections, Start},
    text::decode,
    wire::{Excess, Refusal},
};
use csv::{ReaderBuilder, StringRecord};
use haithe_marketplace::knowledge::ReadLimits;

pub(crate) fn read(bytes: &[u8], limits: &ReadLimits) -> Result<Vec<Section>, Refusal> {
    let text = decode(bytes, None)?;
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter(&text))
        .from_reader(text.as_bytes());
    let mut record = StringRecord::new();
    let mut names: Option<Vec<String>> = None;
    let mut sections = Sections::new(limits);
    let mut row = 0_u32;
    while reader.read_record(&mut record).map_err(|_| Refusal::Malformed)? {
        row = row.saturating_add(1);
        if row > limits.rows {
            return Err(Refusal::TooLarge(Excess::Rows));
        }
        if record.len() > limits.columns {
            return Err(Refusal::TooLarge(Excess::Columns));
        }
        match &names {
            None => names = Some(record.iter().map(flat).collect()),
            Some(names) => sections.push(line(names, &record), Start::Row(row))?,
        }
    }
    // A table of names alone is a list of words.
    if row == 1
        && let Some(names) = names
    {
        sections.push(names.join("; "), Start::Row(1))?;
    }
    sections.finish()
}

/// `name: value; name: value`, without the empty values.
fn line(names: &[String], record: &StringRecord) -> String {
    let mut line = String::new();
    for (column, value) in record.iter().enumerate() {
        let value = flat(value);
        if value.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push_str("; ");
        }
        if let Some(name) = names.get(column).filter(|name| !name.is_empty()) {
            line.push_str(name);
            line.push_str(": ");
        }
        line.push_str(&value);
    }
    line
}

/// On one line.
fn flat(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How much of a table is examined to find its delimiter.
const SAMPLE_BYTES: usize = 64 << 10;
const SAMPLE_ROWS: usize = 100;

/// The delimiter by which most rows have as many columns as the first one; among equals the one with
/// more columns, then a comma. Delimiters inside quotes do not count.
fn delimiter(text: &str) -> u8 {
    let sample = text.get(..text.floor_char_boundary(SAMPLE_BYTES)).unwrap_or(text);
    // The last of equals wins.
    [b'|', b'\t', b';', b',']
        .into_iter()
        .max_by_key(|delimiter| fit(sample, *delimiter))
        .unwrap_or(b',')
}

/// How well a delimiter fits: the rows that have as many columns as the first one, per thousand, and
/// that number of columns. A delimiter that the first row does not contain does not fit at all.
fn fit(sample: &str, delimiter: u8) -> (usize, usize) {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(sample.as_bytes());
    let mut widths = reader
        .records()
        .take(SAMPLE_ROWS)
        .map_while(Result::ok)
        .map(|record| record.len());
    let Some(columns) = widths.next().filter(|columns| *columns > 1) else {
        return (0, 0);
    };
    let (mut rows, mut alike) = (1_usize, 1_usize);
    for width in widths {
        rows += 1;
        alike += usize::from(width == columns);
    }
    (alike * 1000 / rows, columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(table: &str) -> Vec<String> {
        let read = read(table.as_bytes(), &ReadLimits::default()).unwrap();
        read.into_iter().map(|section| section.text).collect()
    }

    #[test]
    fn every_row_names_its_columns() {
        assert_eq!(
            rows("city,hours,note\nZürich,9–17,\"closed,\non Sunday\"\nBern,,\nextra,1,2,3\n"),
            [
                "city: Zürich; hours: 9–17; note: closed, on Sunday",
                "city: Bern",
                "city: extra; hours: 1; note: 2; 3",
            ]
        );
        assert_eq!(rows("a;b\n1,5;2\n"), ["a: 1,5; b: 2"]);
        assert_eq!(rows("a\tb\n1\t2\n"), ["a: 1; b: 2"]);
        assert_eq!(rows("only,names\n"), ["only; names"]);
    }

    /// Field case K1.
    #[test]
    fn delimiters_inside_quotes_or_in_some_rows_only_do_not_count() {
        assert_eq!(
            rows("\"Name, Vorname, Titel\";Ort\n\"Muster, Anna, Dr.\";Bern\n"),
            ["Name, Vorname, Titel: Muster, Anna, Dr.; Ort: Bern"]
        );
        assert_eq!(
            rows("Name, Vorname, Titel;Ort\nMuster, Anna;Bern\nBeispiel;Basel, Stadt, CH\n"),
            [
                "Name, Vorname, Titel: Muster, Anna; Ort: Bern",
                "Name, Vorname, Titel: Beispiel; Ort: Basel, Stadt, CH",
            ]
        );
        assert_eq!(
            rows("a,b\n1;2;3,4\n5;6;7,8\n"),
            ["a: 1;2;3; b: 4", "a: 5;6;7; b: 8"]
        );
    }

    #[test]
    fn rows_are_numbered_as_in_a_spreadsheet() {
        let read = read(b"a\n1\n\n2\n", &ReadLimits::default()).unwrap();
        let starts: Vec<_> = read.into_iter().map(|section| section.start).collect();
        assert_eq!(starts, [Start::Row(2), Start::Row(3)]);
    }

    #[test]
    fn too_much_is_refused() {
        let limits = ReadLimits {
            rows: 3,
            columns: 2,
            text_bytes: 40,
            ..ReadLimits::default()
        };
        assert_eq!(
            read(b"a\n1\n2\n3\n", &limits),
            Err(Refusal::TooLarge(Excess::Rows))
        );
        assert_eq!(
            read(b"a,b\n1,2,3\n", &limits),
            Err(Refusal::TooLarge(Excess::Columns))
        );
        let long_name = format!("{}\n1\n2\n", "n".repeat(30));
        assert_eq!(
            read(long_name.as_bytes(), &limits),
            Err(Refusal::TooLarge(Excess::Text))
        );
    }

    proptest! {
        #[test]
        fn any_table_is_read_or_refused(table in "[a-z,;|\t\"\n ]{0,200}") {
            let _ = read(table.as_bytes(), &ReadLimits::default());
        }
    }
}
