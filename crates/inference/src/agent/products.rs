//! Products: prompts for the system role, passages of knowledge as cited data, calls as tools, and the
//! tools of servers that speak the Model Context Protocol.
//!
//! Only what the contract of the project's organization accepts at today's price is used. A product
//! is paid for when its content was loaded, a tool when it was offered, unless all its calls were refused
//! or failed; one that cannot be loaded refuses the call, unless the project goes on without. What cannot
//! be paid or read by the model is refused before it is loaded, and before it is composed.

mod rpc;
mod served;
#[cfg(test)]
mod tests;

use super::{Equipment, Exchange, Gear, GearError, ProductFee, ServerTool, Source, Wish};
use crate::{completions::Caller, conversations::ConversationId};
use async_trait::async_trait;
use futures::{StreamExt, stream};
use haithe_kernel::{Fetcher, ProductId, Usdt};
use haithe_marketplace::{
    Category, Knowledge,
    content::ProductContent,
    knowledge::{Content, Passage, quote},
    loading::{LoadError, ProductContents},
    ports::{CallProduct, ProductStore, ToolServers},
};
use rpc::RpcCall;
use std::sync::Arc;

/// Bytes of passages that are put before the model.
const PASSAGES: usize = 12 * 1024;
/// Longest name of a tool in OpenAI's dialect.
const MOST_NAME: usize = 64;
/// Products of a call that are opened at once.
const AT_ONCE: usize = 4;

/// Opens products.
#[cfg_attr(any(test, feature = "mocks"), mockall::automock)]
#[async_trait]
pub trait ProductLoader: Send + Sync {
    /// The content of a product of this number.
    async fn load(&self, id: ProductId) -> Result<ProductContent, LoadError>;
}

#[async_trait]
impl ProductLoader for ProductContents {
    async fn load(&self, id: ProductId) -> Result<ProductContent, LoadError> {
        Self::load(self, id).await
    }
}

/// What products are used with.
pub struct ProductPorts {
    /// Which products a project has enabled.
    pub store: Arc<dyn ProductStore>,
    /// Opens them.
    pub loader: Arc<dyn ProductLoader>,
    /// Finds passages.
    pub knowledge: Arc<Knowledge>,
    /// Calls the addresses of tools.
    pub fetcher: Arc<dyn Fetcher>,
    /// Calls servers of tools.
    pub servers: Arc<dyn ToolServers>,
}

/// Brings what the project has enabled.
pub struct Products {
    ports: ProductPorts,
}

impl Products {
    /// Products of the ports' store.
    pub const fn new(ports: ProductPorts) -> Self {
        Self { ports }
    }

    /// What one product brings, or why it cannot.
    async fn open(&self, found: &CallProduct, tools: bool) -> Result<Opened, String> {
        let product = &found.product;
        if product.retired {
            return Err("its creator has retired it".to_owned());
        }
        if !found.accepted || product.price_per_call.is_none() {
            return Err("its price is above what the organization's contract accepts".to_owned());
        }
        let content = self.ports.loader.load(product.id).await;
        match content.map_err(|error| error.to_string())? {
            ProductContent::Prompts(prompts) => Ok(Opened::Prompts(prompts.texts().to_vec())),
            ProductContent::Tool(_) | ProductContent::Mcp(_) if !tools => Ok(Opened::Nothing),
            ProductContent::Tool(tool) => Ok(Opened::Tools(vec![Arc::new(RpcCall {
                product: product.id,
                tool,
                fetcher: Arc::clone(&self.ports.fetcher),
            })])),
            ProductContent::Mcp(endpoint) => {
                let offered = served::offered(self.ports.servers.as_ref(), product.id, &endpoint).await;
                offered.map(Opened::Tools).map_err(|error| error.to_string())
            }
            ProductContent::Knowledge { form, bytes } => {
                let content = Content {
                    name: product.name.clone(),
                    category: form,
                    digest: bytes.sha256(),
                    bytes,
                };
                let read = self.ports.knowledge.load(&content).await;
                read.map_err(|error| error.to_string())?;
                Ok(Opened::Knowledge(content))
            }
        }
    }
}

/// What a product turned out to be.
enum Opened {
    Prompts(Vec<String>),
    Tools(Vec<Arc<dyn ServerTool>>),
    Knowledge(Content),
    /// Tools that cannot be offered in this call: they cost nothing.
    Nothing,
}

#[async_trait]
impl Gear for Products {
    fn wanted(&self, caller: &Caller, _: Option<ConversationId>) -> bool {
        !caller.context.products.is_empty()
    }

    async fn equip(&self, wish: &Wish) -> Result<Equipment, GearError> {
        let project = &wish.caller.context.project;
        let mut equipment = Equipment::default();
        let mut library: Vec<(ProductId, Content)> = Vec::new();
        let listed = self.ports.store.for_call(project.id).await?;
        let due = certainly_due(&listed, wish);
        let mut bytes = 0usize;
        wish.room.holds(due, bytes)?;
        let opening: Vec<_> = listed.iter().map(|found| self.open(found, wish.tools)).collect();
        let mut all = stream::iter(opening).buffered(AT_ONCE);
        for found in &listed {
            let product = &found.product;
            let Some(opened) = all.next().await else { break };
            let opened = match opened {
                Ok(opened) => opened,
                Err(reason) if project.skip_unavailable_products => {
                    tracing::warn!(product = product.id.0, reason, "a call goes on without a product");
                    continue;
                }
                Err(reason) => {
                    let name = product.name.clone();
                    return Err(GearError::Product { name, reason });
                }
            };
            match opened {
                Opened::Nothing => continue,
                Opened::Prompts(texts) => {
                    bytes = bytes.saturating_add(texts.iter().map(String::len).sum());
                    wish.room.holds(due, bytes)?;
                    wish.preparation.take(texts.iter().map(String::len).sum())?;
                    equipment.instructions.extend(texts);
                }
                Opened::Knowledge(content) => library.push((product.id, content)),
                Opened::Tools(tools) => {
                    let named = tools.iter().map(|tool| (tool.definition().name, product.id));
                    equipment.tool_products.extend(named);
                    equipment.tools.extend(tools);
                }
            }
            equipment.fees.push(ProductFee {
                product: product.id,
                creator: product.creator,
                amount: product.price_per_call.unwrap_or_default(),
            });
        }
        if !library.is_empty() {
            self.cite(&library, &wish.question, &mut equipment).await?;
        }
        Ok(equipment)
    }

    async fn answered(&self, _: &Wish, _: &Exchange) {}
}

impl Products {
    /// Puts the passages that may answer the question into the data, and says where they are from.
    async fn cite(
        &self,
        library: &[(ProductId, Content)],
        question: &str,
        equipment: &mut Equipment,
    ) -> Result<(), GearError> {
        let contents: Vec<Content> = library.iter().map(|(_, content)| content.clone()).collect();
        let passages = self.ports.knowledge.passages(&contents, question, PASSAGES).await;
        let passages = passages.map_err(|error| GearError::Product {
            name: "knowledge".to_owned(),
            reason: error.to_string(),
        })?;
        let (text, count) = quote::quote(&passages, 2 * PASSAGES);
        if count == 0 {
            return Ok(());
        }
        equipment.data.push(format!("<data>\n{text}</data>"));
        let cited = passages.iter().take(count).zip(1u32..);
        equipment
            .sources
            .extend(cited.map(|(passage, number)| source(library, passage, number)));
        Ok(())
    }
}

/// What the products of a call cost whatever they turn out to be: nothing where the project goes on
/// without those that cannot be loaded; tools only where they can be offered.
fn certainly_due(listed: &[CallProduct], wish: &Wish) -> Usdt {
    if wish.caller.context.project.skip_unavailable_products {
        return Usdt::ZERO;
    }
    let is_tool = |found: &CallProduct| {
        let category = found.product.category;
        matches!(category, Some(Category::ToolRpc | Category::Mcp) | None)
    };
    let due = listed.iter().filter(|found| wish.tools || !is_tool(found));
    let prices = due.filter_map(|found| found.product.price_per_call);
    Usdt::checked_sum(prices).unwrap_or(Usdt::MAX)
}

fn source(library: &[(ProductId, Content)], passage: &Passage, number: u32) -> Source {
    let product = library
        .iter()
        .find(|(_, content)| content.name == passage.product);
    Source {
        number,
        product: product.map(|(id, _)| *id),
        name: passage.product.clone(),
        locator: passage.place.to_string(),
    }
}

/// What the model calls a product's tool: two products may name theirs alike, and servers allow
/// names that the dialect does not.
fn function_name(product: ProductId, tool: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let tool = tool.chars().map(|c| if fits(c) { c } else { '_' });
    let name = format!("p{}_", product.0);
    name.chars().chain(tool).take(MOST_NAME).collect()
}
