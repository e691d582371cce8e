//! Products: prompts for the system role, passages of knowledge as cited data, calls as tools, and the
//! tools of servers that speak the Model Context Protocol.
//!
//! Only what the contract of the project's organization accepts at today's price is used. A product
//! is paid for when its content was loaded, a tool when it was offered, unless all its calls were refused
//! or failed; one that cannot be loaded refuses the call, unless the project goes on without. What cannot
//! be paid or read by the model is refused before it is loaded, and before it is composed.

mod check;
mod open;
mod rpc;
mod served;
#[cfg(test)]
mod tests;

use super::{Equipment, Exchange, Gear, GearError, ProductFee, Source, Wish};
use crate::{
    completions::{Caller, payer_would_accept},
    conversations::ConversationId,
};
use async_trait::async_trait;
pub use check::{ProductCheck, ProductChecks};
use futures::{StreamExt, stream};
use haithe_kernel::{ProductId, Usdt};
use haithe_marketplace::{
    Category,
    knowledge::{Content, Passage, quote},
    ports::{CallProduct, ProductAcceptance, ProductStore},
    usability::{ProductFault, ProductField},
};
#[cfg(any(test, feature = "mocks"))]
pub use open::MockProductLoader;
pub use open::{OpenError, ProductLoader, ProductOpener};
use open::{Opened, Purpose};
pub use served::OfferError;
use std::sync::Arc;

/// Bytes of passages that are put before the model.
const PASSAGES: usize = 12 * 1024;
/// Longest name of a tool in OpenAI's dialect.
const MOST_NAME: usize = 64;
/// Products of a call that are opened at once.
const AT_ONCE: usize = 4;

/// What products are used with.
pub struct ProductPorts {
    /// Which products a project has enabled.
    pub store: Arc<dyn ProductStore>,
    /// Opens them.
    pub opener: Arc<ProductOpener>,
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
    async fn open(&self, found: &CallProduct, wish: &Wish) -> Result<Opened, GearError> {
        let product = &found.product;
        let name = || product.name.clone();
        let unusable = |fault| GearError::Unusable {
            id: product.id,
            name: name(),
            fault,
        };
        if product.retired {
            let reason = "its creator has retired it; disable it";
            return Err(unusable(ProductFault::new(ProductField::Retired, reason)));
        }
        let Some(price) = product.price_per_call else {
            let reason = "its price is beyond what can be paid";
            return Err(unusable(ProductFault::new(ProductField::Price, reason)));
        };
        match found.acceptance {
            ProductAcceptance::Accepted => {}
            ProductAcceptance::NotOnChain => return Err(GearError::NotOnChain { name: name() }),
            ProductAcceptance::AboveMaximum(maximum) => {
                return Err(GearError::Price {
                    id: product.id,
                    name: name(),
                    price,
                    maximum,
                });
            }
        }
        let opener = &self.ports.opener;
        let purpose = Purpose::Call { tools: wish.tools };
        let opened = opener.open((product.id, &product.name), &found.source, purpose);
        let error = match opened.await {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        let Some(fault) = error.fault() else {
            return Err(GearError::Product {
                name: name(),
                reason: with_remedy(error.to_string(), found.outdated),
            });
        };
        if !found.outdated && !found.fault_noted {
            let uri = found.source.uri.clone();
            let noted = self
                .ports
                .store
                .note_fault(product.id, uri, Some(fault.clone()), wish.at);
            noted.await?;
        }
        Err(unusable(ProductFault {
            reason: with_remedy(fault.reason, found.outdated),
            ..fault
        }))
    }
}

/// What to do where the creator has published other content than the project accepted.
fn with_remedy(reason: String, outdated: bool) -> String {
    if !outdated {
        return reason;
    }
    format!(
        "{reason}; its creator has published other content since, which this project can use after POST \
         /v1/products/{{id}}/accept-content"
    )
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
        payer_would_accept(&wish.caller.context, price_in_all(&listed), wish.at)?;
        let due = certainly_due(&listed, wish);
        let mut bytes = 0usize;
        wish.room.holds(due, bytes)?;
        let opening: Vec<_> = listed.iter().map(|found| self.open(found, wish)).collect();
        let mut all = stream::iter(opening).buffered(AT_ONCE);
        for found in &listed {
            let product = &found.product;
            let Some(opened) = all.next().await else { break };
            let opened = match opened {
                Ok(opened) => opened,
                Err(error @ GearError::Store(_)) => return Err(error),
                Err(error) if project.skip_unavailable_products => {
                    tracing::warn!(
                        product = product.id.0,
                        reason = %error,
                        "product left out of the call"
                    );
                    continue;
                }
                Err(error) => return Err(error),
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
        let passages = self
            .ports
            .opener
            .knowledge
            .passages(&contents, question, PASSAGES)
            .await;
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

/// Whether a call uses the product, if its content can be loaded.
fn is_used(found: &CallProduct) -> bool {
    found.acceptance == ProductAcceptance::Accepted && !found.product.retired
}

/// What the products cost per call together, without those that no call uses.
fn price_in_all(listed: &[CallProduct]) -> Usdt {
    let usable = listed.iter().filter(|found| is_used(found));
    let prices = usable.filter_map(|found| found.product.price_per_call);
    prices.fold(Usdt::ZERO, Usdt::saturating_add)
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
    let due = listed
        .iter()
        .filter(|found| is_used(found) && (wish.tools || !is_tool(found)));
    let prices = due.filter_map(|found| found.product.price_per_call);
    prices.fold(Usdt::ZERO, Usdt::saturating_add)
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
