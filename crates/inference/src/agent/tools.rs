//! Running the service's tools that a turn calls, side by side, each within its time.

use super::{
    AgentLimits,
    gear::{ServerTool, ToolDefinition, ToolOutcome},
    turn::{ToolAnswer, ToolCall},
};
use futures::{
    FutureExt,
    future::{Either, join_all, select},
};
use haithe_billing::capture::LineItem;
use haithe_kernel::{ProductId, Timer};
use std::{
    collections::{HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::Arc,
};

/// The service's tools of one call.
#[derive(Default)]
pub(super) struct Toolbox {
    tools: HashMap<String, Arc<dyn ServerTool>>,
    pub definitions: Vec<ToolDefinition>,
}

impl Toolbox {
    /// Of several tools of one name, the first.
    pub fn new(tools: Vec<Arc<dyn ServerTool>>) -> Self {
        let mut toolbox = Self::default();
        for tool in tools {
            let definition = tool.definition();
            if !toolbox.tools.contains_key(&definition.name) {
                toolbox.tools.insert(definition.name.clone(), tool);
                toolbox.definitions.push(definition);
            }
        }
        toolbox
    }

    /// Answers every call, in order. Whatever goes wrong with one is its answer.
    pub async fn run(&self, calls: &[ToolCall], limits: &AgentLimits, timer: &dyn Timer) -> Vec<ToolAnswer> {
        let answers = calls.iter().enumerate().map(async |(index, call)| {
            let outcome = if index < limits.calls_per_turn {
                self.answer(call, limits, timer).await
            } else {
                ToolOutcome::failed(format!(
                    "error: more than {} calls in one turn; call this one again",
                    limits.calls_per_turn
                ))
            };
            ToolAnswer {
                id: call.id().to_owned(),
                text: shortened(outcome.text, limits.tool_bytes),
                failed: outcome.failed,
            }
        });
        join_all(answers).await
    }

    async fn answer(&self, call: &ToolCall, limits: &AgentLimits, timer: &dyn Timer) -> ToolOutcome {
        let Some(tool) = self.tools.get(call.name()) else {
            return ToolOutcome::failed("error: there is no tool of this name");
        };
        let Some(arguments) = call.arguments() else {
            return ToolOutcome::failed("error: the arguments are not a JSON object");
        };
        let work = AssertUnwindSafe(tool.call(arguments)).catch_unwind();
        match select(Box::pin(work), timer.sleep(limits.tool_time)).await {
            Either::Left((Ok(answer), _)) => answer,
            Either::Left((Err(_), _)) => ToolOutcome::failed("error: the tool failed"),
            Either::Right(_) => ToolOutcome::failed("error: the tool did not answer in time"),
        }
    }
}

/// Which products' tools were called, and which of them answered.
#[derive(Debug, Default)]
pub(super) struct ToolUse {
    /// The product of each tool, by the tool's name.
    products: HashMap<String, ProductId>,
    called: HashSet<ProductId>,
    answered: HashSet<ProductId>,
}

impl ToolUse {
    pub fn of(products: HashMap<String, ProductId>) -> Self {
        Self {
            products,
            ..Self::default()
        }
    }

    /// Tools are being called.
    pub fn called(&mut self, calls: &[ToolCall]) {
        let products = calls.iter().filter_map(|call| self.products.get(call.name()));
        self.called.extend(products);
    }

    /// The tools that were called have answered, or failed.
    pub fn answered(&mut self, calls: &[ToolCall], answers: &[ToolAnswer]) {
        let good = calls.iter().zip(answers).filter(|(_, answer)| !answer.failed);
        let products = good.filter_map(|(call, _)| self.products.get(call.name()));
        self.answered.extend(products);
    }

    /// The caller left while tools were running: what they did is due, as if it had stayed.
    pub fn left(&mut self, calls: &[ToolCall]) {
        let products = calls.iter().filter_map(|call| self.products.get(call.name()));
        self.answered.extend(products);
    }

    /// Whether a product's price is due: not when its tools were called and none of the calls came to
    /// anything.
    pub fn earned(&self, item: LineItem) -> bool {
        match item {
            LineItem::Product(product) => !self.called.contains(&product) || self.answered.contains(&product),
            _ => true,
        }
    }
}

/// At most `most` bytes, and a word about what is missing.
fn shortened(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push_str("\n[cut here: the answer is longer]");
    }
    text
}
