//! A model that obeys whatever it reads, and then says everything it knows.
//!
//! The question names a topic and a carrier: `topic7 in tool`. Of the texts that this carrier brought,
//! the model obeys each line `topic7: CALL <how often> <tool> WITH <arguments>`.

use haithe_tests::upstream::{Exchange, Script};
use serde_json::Value;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

/// Where hostile texts stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    Prompts,
    Knowledge,
    ToolAnswer,
    /// What a tool of a server of tools answers.
    ServedAnswer,
    /// What such a server says of its tools: what they do,
    ServedDescription,
    /// every name and text of their schemas,
    ServedSchema,
    /// and their names, which have too few letters for a demand and only say of which topic it is.
    ServedName,
}

impl Carrier {
    pub const ALL: [Self; 7] = [
        Self::Prompts,
        Self::Knowledge,
        Self::ToolAnswer,
        Self::ServedAnswer,
        Self::ServedDescription,
        Self::ServedSchema,
        Self::ServedName,
    ];

    /// Whether the texts come only when a tool is called, for which the model takes a turn.
    pub fn is_answer(self) -> bool {
        matches!(self, Self::ToolAnswer | Self::ServedAnswer)
    }

    /// How messages look that it brings.
    fn brings(self, message: &Value) -> bool {
        let text = message["content"].as_str().unwrap_or_default();
        match self {
            Self::Prompts => message["role"] == "system",
            Self::Knowledge => message["role"] == "user" && text.starts_with("<data>"),
            Self::ToolAnswer | Self::ServedAnswer => message["role"] == "tool",
            Self::ServedDescription | Self::ServedSchema | Self::ServedName => false,
        }
    }

    /// The texts that it brought with a request.
    fn texts(self, request: &Value, known: &Known) -> Vec<String> {
        let list = |name: &str| request[name].as_array().into_iter().flatten();
        let functions = list("tools").map(|tool| &tool["function"]);
        match self {
            Self::ServedDescription => functions
                .filter_map(|function| function["description"].as_str())
                .map(str::to_owned)
                .collect(),
            Self::ServedSchema => functions
                .flat_map(|function| strings(&function["parameters"]))
                .collect(),
            Self::ServedName => {
                let names = functions.filter_map(|function| function["name"].as_str());
                let words = names.flat_map(|name| name.split(['-', '_']));
                let topics = words.filter_map(|word| word.strip_prefix("topic")?.parse::<usize>().ok());
                let lines = known.lines.lock().unwrap();
                topics.filter_map(|topic| lines.get(topic).cloned()).collect()
            }
            _ => list("messages")
                .filter(|message| self.brings(message))
                .filter_map(|message| message["content"].as_str())
                .map(str::to_owned)
                .collect(),
        }
    }
}

/// Every text in a value, names of fields among them.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| [vec![name.clone()], strings(value)].concat())
            .collect(),
        _ => Vec::new(),
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

/// What the model knows before it reads anything.
#[derive(Debug, Default)]
pub struct Known {
    /// The tools that bring the texts of [`Carrier::ToolAnswer`] and [`Carrier::ServedAnswer`].
    pub look: String,
    pub ask: String,
    /// The demands by topic, for texts that only name one.
    pub lines: Arc<Mutex<Vec<String>>>,
}

/// The model. Counts what it obeyed.
pub fn obedient(known: Known) -> (impl Fn(&Exchange) -> Script, Arc<AtomicUsize>) {
    let obeyed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&obeyed);
    let decide = move |exchange: &Exchange| {
        let request = exchange.json();
        match calls(&request, &known) {
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
fn calls(request: &Value, known: &Known) -> Option<(Vec<(String, String)>, bool)> {
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
    if carrier.is_answer() && turns == 0 {
        let call = if carrier == Carrier::ToolAnswer {
            (known.look.clone(), format!("{{\"city\":\"{topic}\"}}"))
        } else {
            (known.ask.clone(), format!("{{\"topic\":\"{topic}\"}}"))
        };
        return Some((vec![call], false));
    }
    let texts = carrier.texts(request, known);
    let mut found = texts.iter().flat_map(|text| text.lines()).filter_map(|line| {
        line.split_once(&format!("{topic}: CALL "))
            .map(|(_, order)| order)
    });
    let order = found.next()?;
    let (always, order) = match order.strip_prefix("always ") {
        Some(order) => (true, order),
        None => (false, order),
    };
    if turns > usize::from(carrier.is_answer()) && !always {
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
