//! Products: prompts for the system role, passages of knowledge as cited data, calls as tools.
//!
//! Only what the contract of the project's organization accepts at today's price is used. A product
//! is paid for when its content was loaded, a tool when it was offered; one that cannot be loaded
//! refuses the call, unless the project goes on without.

use super::{Equipment, Exchange, Gear, GearError, ProductFee, ServerTool, Source, ToolDefinition, Wish};
use crate::{completions::Caller, conversations::ConversationId};
use async_trait::async_trait;
use haithe_kernel::{Fetcher, ProductId};
use haithe_marketplace::{
    Knowledge,
    content::{ProductContent, RpcTool},
    knowledge::{Content, Passage, quote},
    loading::{LoadError, ProductContents},
    ports::{CallProduct, ProductStore},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Bytes of passages that are put before the model.
const PASSAGES: usize = 12 * 1024;
/// Longest name of a tool in OpenAI's dialect.
const MOST_NAME: usize = 64;
/// Characters of a tool's answer; the loop cuts further.
const MOST_ANSWER: usize = 256 * 1024;

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

/// Brings what the project has enabled.
pub struct Products {
    store: Arc<dyn ProductStore>,
    loader: Arc<dyn ProductLoader>,
    knowledge: Arc<Knowledge>,
    fetcher: Arc<dyn Fetcher>,
}

impl Products {
    /// Products of `store`, opened by `loader`; pages and tools are called through `fetcher`.
    pub fn new(
        store: Arc<dyn ProductStore>,
        loader: Arc<dyn ProductLoader>,
        knowledge: Arc<Knowledge>,
        fetcher: Arc<dyn Fetcher>,
    ) -> Self {
        Self {
            store,
            loader,
            knowledge,
            fetcher,
        }
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
        let content = self
            .loader
            .load(product.id)
            .await
            .map_err(|error| error.to_string())?;
        match content {
            ProductContent::Prompts(prompts) => Ok(Opened::Prompts(prompts.texts().to_vec())),
            ProductContent::Tool(tool) if tools => Ok(Opened::Tool(tool)),
            ProductContent::Tool(_) => Ok(Opened::Nothing),
            ProductContent::Mcp(_) => {
                Err("servers of the Model Context Protocol are not called yet".to_owned())
            }
            ProductContent::Knowledge { form, bytes } => {
                let content = Content {
                    name: product.name.clone(),
                    category: form,
                    digest: Sha256::digest(&**bytes).into(),
                    bytes: Arc::from(&**bytes),
                };
                let read = self.knowledge.load(&content).await;
                read.map_err(|error| error.to_string())?;
                Ok(Opened::Knowledge(content))
            }
        }
    }
}

/// What a product turned out to be.
enum Opened {
    Prompts(Vec<String>),
    Tool(RpcTool),
    Knowledge(Content),
    /// A tool that cannot be offered in this call: it costs nothing.
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
        for found in self.store.for_call(project.id).await? {
            let product = &found.product;
            let opened = match self.open(&found, wish.tools).await {
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
                Opened::Prompts(texts) => equipment.instructions.extend(texts),
                Opened::Knowledge(content) => library.push((product.id, content)),
                Opened::Tool(tool) => equipment.tools.push(Arc::new(RpcCall {
                    product: product.id,
                    tool,
                    fetcher: Arc::clone(&self.fetcher),
                })),
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
        let passages = self.knowledge.passages(&contents, question, PASSAGES).await;
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

/// A creator's call: the model fills in arguments, everything else is the creator's.
struct RpcCall {
    product: ProductId,
    tool: RpcTool,
    fetcher: Arc<dyn Fetcher>,
}

#[async_trait]
impl ServerTool for RpcCall {
    fn definition(&self) -> ToolDefinition {
        // Two products may name their tools alike.
        let mut name = format!("p{}_{}", self.product.0, self.tool.name());
        name.truncate(MOST_NAME);
        ToolDefinition {
            name,
            description: self.tool.description().to_owned(),
            parameters: self.tool.schema(),
        }
    }

    async fn call(&self, arguments: Value) -> String {
        let request = match self.tool.request(&arguments.to_string()) {
            Ok(request) => request,
            Err(error) => return format!("error: {error}"),
        };
        match self.fetcher.fetch(request).await {
            Ok(answer) => {
                let body = String::from_utf8_lossy(&answer.body);
                let body: String = body.chars().take(MOST_ANSWER).collect();
                format!("status {}\n{body}", answer.status)
            }
            Err(error) => format!("error: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::completions::tests::stage::{document, stage};
    use haithe_kernel::{FetchError, Fetched, MockFetcher, Timestamp, Usdt, WalletAddress};
    use haithe_marketplace::{
        Category, Product,
        content::PromptSet,
        knowledge::{ReadLimits, Tools},
        ports::{MockDocuments, MockKnowledgeIndexer, MockProductStore},
    };
    use serde_json::json;

    const CREATOR: WalletAddress = WalletAddress::new([5; 20]);

    fn wish(skip: bool) -> Wish {
        let mut stage = stage(|_| document("{}"));
        stage.context.products = vec![ProductId(1)];
        stage.context.project.skip_unavailable_products = skip;
        Wish {
            caller: stage.caller(),
            conversation: None,
            question: "What is new?".into(),
            tools: true,
        }
    }

    fn found(id: i64, accepted: bool) -> CallProduct {
        CallProduct {
            product: Product {
                id: ProductId(id),
                address: WalletAddress::new([1; 20]),
                creator: CREATOR,
                name: format!("product {id}"),
                category: Some(Category::PromptSet),
                price_per_call: Some(Usdt::from_nano(40)),
                created_at: Timestamp::from_seconds(0),
                retired: false,
            },
            accepted,
        }
    }

    fn prompts() -> ProductContent {
        ProductContent::Prompts(PromptSet::parse(br#"["Speak Latin."]"#).unwrap())
    }

    fn tool() -> RpcTool {
        let written = json!({"name": "weather", "description": "Tells the weather", "method": "GET",
            "url": "https://api.example/{city}", "headers": {"x-key": "secret"},
            "parameters": [{"name": "city", "in": "path", "type": "string", "required": true}]});
        RpcTool::parse(written.to_string().as_bytes()).unwrap()
    }

    fn products(listed: Vec<CallProduct>, loader: MockProductLoader, fetcher: MockFetcher) -> Products {
        let mut store = MockProductStore::new();
        store.expect_for_call().returning(move |_| Ok(listed.clone()));
        let fetcher: Arc<dyn Fetcher> = Arc::new(fetcher);
        let tools = Tools {
            documents: Arc::new(MockDocuments::new()),
            indexer: Arc::new(MockKnowledgeIndexer::new()),
            fetcher: Arc::clone(&fetcher),
            embedder: None,
        };
        let knowledge = Arc::new(Knowledge::new(tools, ReadLimits::default()));
        Products::new(Arc::new(store), Arc::new(loader), knowledge, fetcher)
    }

    #[tokio::test]
    async fn prompts_and_tools_come_along_at_their_price() {
        let mut loader = MockProductLoader::new();
        loader.expect_load().returning(|id| match id.0 {
            1 => Ok(prompts()),
            _ => Ok(ProductContent::Tool(tool())),
        });
        let mut fetcher = MockFetcher::new();
        fetcher
            .expect_fetch()
            .withf(|request| request.url == "https://api.example/Rome")
            .returning(|_| {
                let (headers, url) = (Vec::new(), String::new());
                Ok(Fetched {
                    status: 200,
                    headers,
                    body: b"sunny".to_vec(),
                    url,
                })
            });
        let gear = products(vec![found(1, true), found(2, true)], loader, fetcher);
        assert!(gear.wanted(&wish(false).caller, None));
        let equipment = gear.equip(&wish(false)).await.unwrap();
        assert_eq!(equipment.instructions, ["Speak Latin."]);
        let fees: Vec<_> = equipment
            .fees
            .iter()
            .map(|fee| (fee.product.0, fee.amount.nano()))
            .collect();
        assert_eq!(fees, [(1, 40), (2, 40)]);
        let tool = &equipment.tools[0];
        assert_eq!(tool.definition().name, "p2_weather");
        assert!(!format!("{:?}", tool.definition()).contains("secret"));
        assert_eq!(tool.call(json!({"city": "Rome"})).await, "status 200\nsunny");
        assert!(tool.call(json!({"town": "Rome"})).await.starts_with("error: "));
    }

    #[tokio::test]
    async fn a_tool_that_is_not_offered_costs_nothing() {
        let mut loader = MockProductLoader::new();
        loader
            .expect_load()
            .returning(|_| Ok(ProductContent::Tool(tool())));
        let gear = products(vec![found(2, true)], loader, MockFetcher::new());
        let without = Wish {
            tools: false,
            ..wish(false)
        };
        let equipment = gear.equip(&without).await.unwrap();
        assert_eq!((equipment.tools.len(), equipment.fees.len()), (0, 0));
    }

    #[tokio::test]
    async fn what_cannot_be_loaded_refuses_the_call_or_is_left_out_as_the_project_says() {
        for (listed, fails) in [(found(1, false), false), (found(1, true), true)] {
            let gear = |listed: CallProduct| {
                let mut loader = MockProductLoader::new();
                loader.expect_load().returning(move |_| {
                    if fails {
                        Err(LoadError::Gone)
                    } else {
                        Ok(prompts())
                    }
                });
                products(vec![listed], loader, MockFetcher::new())
            };
            let refused = gear(listed.clone()).equip(&wish(false)).await.err().unwrap();
            assert!(
                matches!(&refused, GearError::Product { name, .. } if name == "product 1"),
                "{refused}"
            );
            let equipment = gear(listed).equip(&wish(true)).await.unwrap();
            assert_eq!((equipment.instructions.len(), equipment.fees.len()), (0, 0));
        }
    }

    #[tokio::test]
    async fn a_tool_that_cannot_be_reached_says_so_and_no_more() {
        let mut fetcher = MockFetcher::new();
        fetcher
            .expect_fetch()
            .returning(|_| Err(FetchError::Unreachable("10.0.0.1 refused".into())));
        let call = RpcCall {
            product: ProductId(2),
            tool: tool(),
            fetcher: Arc::new(fetcher),
        };
        let answer = call.call(json!({"city": "Rome"})).await;
        assert_eq!(answer, "error: the address cannot be reached");
    }
}
