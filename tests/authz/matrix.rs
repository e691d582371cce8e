//! Plays every row for every caller.

use crate::{
    cast::World,
    row::{Row, Stage},
    rows::rows,
    surface::operations,
    table::{Expected, Object, PRINCIPALS},
};
use futures::{StreamExt, stream};
use haithe_tests::client::Answer;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Rows that are played at the same time.
const AT_ONCE: usize = 8;

/// What playing a row showed.
#[derive(Default)]
struct Played {
    operation: String,
    cells: usize,
    successes: usize,
    wrong: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_every_caller_as_the_design_says() {
    let world = Arc::new(World::prepare().await);
    let documented = operations(&world.app).await;
    let rows = rows();
    let mut wrong = covered(&documented, &rows);
    let (alone, together): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.alone);
    let mut played: Vec<Played> = stream::iter(together)
        .map(|row| tokio::spawn(play(Arc::clone(&world), row)))
        .buffer_unordered(AT_ONCE)
        .map(|joined| joined.expect("a row is played to its end"))
        .collect()
        .await;
    for row in alone {
        played.push(play(Arc::clone(&world), row).await);
    }
    let mut successes = BTreeMap::<String, usize>::new();
    let mut cells = 0;
    for row in played {
        *successes.entry(row.operation).or_default() += row.successes;
        cells += row.cells;
        wrong.extend(row.wrong);
    }
    let never = successes.iter().filter(|(_, count)| **count == 0);
    wrong.extend(never.map(|(operation, _)| format!("{operation} never succeeded")));
    println!("{} operations, {cells} cells", successes.len());
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Operations without a row, rows without an operation, and those of which the document says
/// otherwise than the row whether they are public.
fn covered(documented: &BTreeMap<String, bool>, rows: &[Row]) -> Vec<String> {
    let mut wrong = Vec::new();
    let known: BTreeSet<String> = rows.iter().map(Row::operation).collect();
    for operation in documented.keys().filter(|operation| !known.contains(*operation)) {
        wrong.push(format!("{operation} has no row"));
    }
    for row in rows {
        match documented.get(&row.operation()) {
            None => wrong.push(format!("{} is not in the document", row.operation())),
            Some(public) if *public != row.rule.is_public() => {
                wrong.push(format!("{}: the document says public: {public}", row.operation()));
            }
            Some(_) => {}
        }
    }
    wrong
}

async fn play(world: Arc<World>, row: Row) -> Played {
    let mut played = Played {
        operation: row.operation(),
        ..Played::default()
    };
    for who in PRINCIPALS {
        let mut of_nothing = None;
        for object in row.rule.objects() {
            let stage = Stage {
                world: Arc::clone(&world),
                who,
                object: *object,
            };
            let answer = row.ask(&stage).await.send().await;
            let expected = row.rule.expects(who, *object);
            let cell = format!("{} {} by {who:?} on {object:?}", row.operation(), row.note);
            if let Some(problem) = differs(expected, &answer) {
                played.wrong.push(format!("{cell}: {problem}"));
            }
            // What is not there is asked about first: everything hidden must look like it.
            match (*object, &of_nothing) {
                (Object::Missing, _) => of_nothing = Some(seen(&answer)),
                (Object::Foreign | Object::Own, Some(missing))
                    if expected != Expected::Success
                        && expected == row.rule.expects(who, Object::Missing) =>
                {
                    let found = seen(&answer);
                    if found != *missing {
                        played
                            .wrong
                            .push(format!("{cell}: {found:?}, but of nothing {missing:?}"));
                    }
                }
                _ => {}
            }
            played.cells += 1;
            played.successes += usize::from(answer.status.is_success() || answer.status.is_redirection());
        }
    }
    played
}

/// What the caller can see, but for what differs between any two requests.
fn seen(answer: &Answer) -> (u16, Vec<(String, String)>, Value) {
    let mut body = answer.json();
    if let Some(id) = body.get_mut("request_id") {
        *id = Value::Null;
    }
    let headers = answer.headers.iter();
    let headers = headers
        .filter(|(name, _)| !matches!(name.as_str(), "x-request-id" | "date"))
        .map(|(name, value)| (name.to_string(), format!("{value:?}")));
    (answer.status.as_u16(), headers.collect(), body)
}

/// What is wrong with the answer, if anything is.
fn differs(expected: Expected, answer: &Answer) -> Option<String> {
    let status = answer.status.as_u16();
    let right = match expected {
        Expected::Success => answer.status.is_success() || answer.status.is_redirection(),
        Expected::Refused(wanted, code) => {
            status == wanted && code.is_none_or(|code| code_of(answer) == code)
        }
    };
    (!right).then(|| format!("{expected:?}, but it was {status} {}", answer.text()))
}

/// The code of a failure in either dialect.
fn code_of(answer: &Answer) -> String {
    let body = answer.json();
    let code = body.get("code").or_else(|| body.pointer("/error/code"));
    code.and_then(Value::as_str).unwrap_or_default().to_owned()
}
