//! Usage as RFC 4180 has it, for spreadsheets.
//!
//! Spreadsheets take a cell that begins with one of a few characters for a formula, whoever wrote it.
//! Names are other people's words, so theirs begin with an apostrophe then (OWASP, CSV injection).

use crate::http::{ApiError, wire::BaseUnits};
use axum::response::{IntoResponse, Response};
use csv::{Terminator, WriterBuilder};
use haithe_billing::usage::{Dimension, Named, UsageQuery, UsageRow};
use haithe_kernel::Decimals;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use std::borrow::Cow;

/// The table as a file to save.
pub(super) fn response(
    query: &UsageQuery,
    rows: &[UsageRow],
    decimals: Decimals,
) -> Result<Response, ApiError> {
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
        (CONTENT_DISPOSITION, "attachment; filename=\"usage.csv\""),
    ];
    let table = write(query, rows, decimals).map_err(ApiError::internal)?;
    Ok((headers, table).into_response())
}

fn write(query: &UsageQuery, rows: &[UsageRow], decimals: Decimals) -> csv::Result<Vec<u8>> {
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .from_writer(Vec::new());
    writer.write_record(header(query))?;
    for row in rows {
        writer.write_record(record(row, decimals).iter().map(AsRef::as_ref))?;
    }
    writer
        .into_inner()
        .map_err(|error| csv::Error::from(error.into_error()))
}

fn header(query: &UsageQuery) -> Vec<&'static str> {
    let mut names = Vec::new();
    for (dimension, columns) in [
        (Dimension::Day, &["day"][..]),
        (Dimension::Project, &["project_id", "project_name"]),
        (Dimension::ApiKey, &["api_key_id", "api_key_name"]),
        (Dimension::Model, &["model_id", "model"]),
        (Dimension::Product, &["product_id", "product_name"]),
    ] {
        if query.by.contains(dimension) {
            names.extend(columns);
        }
    }
    names.push("calls");
    if !query.is_of_products() {
        names.extend([
            "input_tokens",
            "cached_tokens",
            "output_tokens",
            "reasoning_tokens",
        ]);
    }
    names.extend(["charged", "charged_usdt"]);
    names
}

fn record(row: &UsageRow, decimals: Decimals) -> Vec<Cow<'_, str>> {
    let mut cells = Vec::with_capacity(16);
    cells.extend(row.day.map(|day| Cow::from(day.to_string())));
    cells.extend(row.project.iter().flat_map(|thing| named(thing, thing.id.0)));
    if let Some(key) = &row.api_key {
        match key {
            Some(key) => cells.extend(named(key, key.id.0)),
            None => cells.extend([Cow::from(""), Cow::from("")]),
        }
    }
    cells.extend(row.model.iter().flat_map(|thing| named(thing, thing.id.0)));
    cells.extend(row.product.iter().flat_map(|thing| named(thing, thing.id.0)));
    cells.push(row.calls.to_string().into());
    if let Some(tokens) = row.tokens {
        let tokens = [tokens.input, tokens.cached, tokens.output, tokens.reasoning];
        cells.extend(tokens.map(|tokens| Cow::from(tokens.to_string())));
    }
    cells.push(BaseUnits::of(row.charged, decimals).to_string().into());
    cells.push(row.charged.to_string().into());
    cells
}

fn named<T>(thing: &Named<T>, id: i64) -> [Cow<'_, str>; 2] {
    let name = thing.name.as_deref().unwrap_or_default();
    [Cow::from(id.to_string()), inert(name)]
}

/// A text that no spreadsheet takes for a formula.
fn inert(text: &str) -> Cow<'_, str> {
    let first = text
        .trim_start_matches([' ', '\u{a0}', '\u{feff}'])
        .chars()
        .next();
    let formula = |c: char| {
        matches!(
            c,
            '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠'
        )
    };
    match first {
        Some(first) if formula(first) => Cow::from(format!("'{text}")),
        _ => Cow::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_billing::{
        capture::TokenUsage,
        usage::{Day, Dimensions},
    };
    use haithe_identity::api_key::ApiKeyId;
    use haithe_kernel::{ModelId, ProductId, ProjectId, Usdt};
    use proptest::prelude::*;

    fn query(by: &str) -> UsageQuery {
        UsageQuery {
            by: by.parse::<Dimensions>().unwrap(),
            from: None,
            until: None,
            project: None,
            api_key: None,
            model: None,
            product: None,
        }
    }

    fn thing<T>(id: T, name: &str) -> Option<Named<T>> {
        Some(Named {
            id,
            name: Some(name.to_owned()),
        })
    }

    fn row(name: &str) -> UsageRow {
        UsageRow {
            day: Some(Day(0)),
            project: thing(ProjectId(1), name),
            api_key: Some(thing(ApiKeyId(2), name)),
            model: thing(ModelId(3), name),
            product: None,
            calls: 4,
            tokens: Some(TokenUsage {
                input: 5,
                ..TokenUsage::default()
            }),
            charged: Usdt::from_nano(1_500_000_000),
        }
    }

    fn table(query: &UsageQuery, rows: &[UsageRow]) -> String {
        String::from_utf8(write(query, rows, Decimals::new(6).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn a_table_has_a_column_for_all_that_was_asked_and_names_are_no_formulas() {
        let query = query("day,project,key,model");
        let mut by_session = row("plain, \"quoted\"");
        by_session.api_key = Some(None);
        assert_eq!(
            table(&query, &[row("=1+1"), by_session]),
            "day,project_id,project_name,api_key_id,api_key_name,model_id,model,calls,input_tokens,\
             cached_tokens,output_tokens,reasoning_tokens,charged,charged_usdt\r\n\
             1970-01-01,1,'=1+1,2,'=1+1,3,'=1+1,4,5,0,0,0,1500000,1.5\r\n\
             1970-01-01,1,\"plain, \"\"quoted\"\"\",,,3,\"plain, \"\"quoted\"\"\",4,5,0,0,0,1500000,1.5\r\n"
        );
    }

    #[test]
    fn figures_about_products_have_no_tokens() {
        let mut figure = row("");
        figure.product = thing(ProductId(7), "@SUM(A1)");
        (figure.day, figure.project, figure.api_key, figure.model) = (None, None, None, None);
        figure.tokens = None;
        assert_eq!(
            table(&query("product"), &[figure]),
            "product_id,product_name,calls,charged,charged_usdt\r\n7,'@SUM(A1),4,1500000,1.5\r\n"
        );
        assert_eq!(
            table(&query("total"), &[])
                .lines()
                .next()
                .map(|line| line.split(',').count()),
            Some(7)
        );
    }

    proptest! {
        #[test]
        fn every_table_reads_back_and_no_cell_begins_a_formula(names in prop::collection::vec(".{0,12}", 1..5)) {
            let rows: Vec<_> = names.iter().map(|name| row(name)).collect();
            let table = table(&query("day,project,key,model"), &rows);
            let mut reader = csv::Reader::from_reader(table.as_bytes());
            let records: Vec<_> = reader.records().collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(records.len(), rows.len());
            for (record, name) in records.iter().zip(&names) {
                prop_assert_eq!(record.len(), 14);
                for cell in record {
                    prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{cell:?}");
                }
                prop_assert_eq!(record[2].strip_prefix('\'').unwrap_or(&record[2]), name.strip_prefix('\'').unwrap_or(name));
            }
        }
    }
}
