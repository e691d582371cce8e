//! A model that obeys whatever it reads, and then says everything it knows.
//!
//! The question names a topic and a carrier: `topic7 in tool`. Of the texts that this carrier brought,
//! the model obeys each line `topic7: CALL <how often> <tool> WITH <arguments>`.

use haithe_tests::upstream::{Exchange, Script};
use serde_json::Value;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Where hostile texts stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    Prompts,
    Knowledge,
    ToolAnswer,
}

impl Carrier {
    pub const ALL: [Self; 3] = [Self::Prompts, Self::Knowledge, Self::ToolAnswer];

    /// How messages look that it brings.
    fn brings(self, message: &Value) -> bool {
        let text = message["content"].as_str().unwrap_or_default();
        match self {
            Self::Prompts => message["role"] == "system",
            Self::Knowledge => message["role"] == "user" && text.starts_with("<data>"),
            Self::ToolAnswer => message["role"] == "tool",
        }
    }
}

/// The question that makes the model obey.
pub fn question(topic: usize, carrier: Carrier) -> String {
    format!("What does topic{topic} say? {carrier:?}")
}

/// The line by which a text demands a call.
pub fn line(topic: usize, often: &str, tool: &str, arguments: &str) -> String {
    format!("topic{topic}: CALL {often} {tool} WITH {arguments}")
}

/// The model; `look` is a tool that brings the texts of [`Carrier::ToolAnswer`]. Counts what it obeyed.
pub fn obedient(look: String) -> (impl Fn(&Exchange) -> Script, Arc<AtomicUsize>) {
    let obeyed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&obeyed);
    let decide = move |exchange: &Exchange| {
        let request = exchange.json();
        match calls(&request, &look) {
            Some((calls, ordered)) => {
                if ordered {
                    count.fetch_add(1, Ordering::SeqCst);
                }
                Script::calls(calls)
            }
            None => Script::text(request.to_string()),
        }
    };
    (decide, obeyed)
}

/// The next calls, and whether a text demanded them.
fn calls(request: &Value, look: &str) -> Option<(Vec<(String, String)>, bool)> {
    let messages = request["messages"].as_array()?;
    let asked = messages
        .iter()
        .filter(|message| message["role"] == "user")
        .filter_map(|message| message["content"].as_str())
        .find(|text| text.starts_with("What does topic"))?;
    let topic = asked.strip_prefix("What does ")?.split(' ').next()?;
    let carrier = Carrier::ALL
        .into_iter()
        .find(|carrier| asked.ends_with(&format!("{carrier:?}")))?;
    let turns = messages
        .iter()
        .filter(|message| message["role"] == "assistant")
        .count();
    if carrier == Carrier::ToolAnswer && turns == 0 {
        return Some((
            vec![(look.to_owned(), format!("{{\"city\":\"{topic}\"}}"))],
            false,
        ));
    }
    let mut found = messages
        .iter()
        .filter(|message| carrier.brings(message))
        .filter_map(|message| message["content"].as_str())
        .flat_map(str::lines)
        .filter_map(|line| {
            line.split_once(&format!("{topic}: CALL "))
                .map(|(_, order)| order)
        });
    let order = found.next()?;
    let (always, order) = match order.strip_prefix("always ") {
        Some(order) => (true, order),
        None => (false, order),
    };
    let before = usize::from(carrier == Carrier::ToolAnswer);
    if turns > before && !always {
        return None;
    }
    let (count, order) = order.split_once(' ')?;
    let (tool, arguments) = order.split_once(" WITH ")?;
    let call = (tool.replace("␀", "\0"), written(arguments));
    Some((vec![call; count.parse().ok()?], true))
}

/// Arguments as a model would write them that is asked for very many letters or very deep lists.
fn written(arguments: &str) -> String {
    let mut text = arguments.to_owned();
    for count in [3_000, 60_000, 70_000] {
        text = text.replace(&format!("%A{count}%"), &"A".repeat(count));
    }
    text.replace("%NEST%", &format!("{}{}", "[".repeat(500), "]".repeat(500)))
}
