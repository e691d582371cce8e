//! Running the service's tools that a turn calls, side by side, each within its time.

use super::{
    AgentLimits,
    gear::{ServerTool, ToolDefinition},
    turn::{ToolAnswer, ToolCall},
};
use futures::{
    FutureExt,
    future::{Either, join_all, select},
};
use haithe_kernel::Timer;
use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc};

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
            let text = if index < limits.calls_per_turn {
                self.answer(call, limits, timer).await
            } else {
                format!(
                    "error: more than {} calls in one turn; call this one again",
                    limits.calls_per_turn
                )
            };
            ToolAnswer {
                id: call.id().to_owned(),
                text: shortened(text, limits.tool_bytes),
            }
        });
        join_all(answers).await
    }

    async fn answer(&self, call: &ToolCall, limits: &AgentLimits, timer: &dyn Timer) -> String {
        let Some(tool) = self.tools.get(call.name()) else {
            return "error: there is no tool of this name".to_owned();
        };
        let Some(arguments) = call.arguments() else {
            return "error: the arguments are not a JSON object".to_owned();
        };
        let work = AssertUnwindSafe(tool.call(arguments)).catch_unwind();
        match select(Box::pin(work), timer.sleep(limits.tool_time)).await {
            Either::Left((Ok(answer), _)) => answer,
            Either::Left((Err(_), _)) => "error: the tool failed".to_owned(),
            Either::Right(_) => "error: the tool did not answer in time".to_owned(),
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
