//! What products bring to a call.

use super::{rpc::RpcCall, *};
use crate::agent::{Room, ServerTool, ToolOutcome};
use crate::completions::tests::stage::{document, stage};
use haithe_kernel::{
    Failure, FetchError, Fetched, Fetcher, FixedClock, Kind, MockFetcher, Timestamp, Usdt, WalletAddress,
};
use haithe_marketplace::{
    Category, Knowledge, Product,
    content::{McpEndpoint, ProductContent, PromptSet, RpcTool},
    knowledge::{ReadLimits, Tools},
    loading::{LoadError, ProductSource},
    ports::{
        MockDocuments, MockKnowledgeIndexer, MockProductStore, MockToolServers, MockToolSession, OpenServer,
        ServedTool, ToolServerError,
    },
};
use serde_json::json;

const CREATOR: WalletAddress = WalletAddress::new([5; 20]);

fn wish(skip: bool) -> Wish {
    let mut stage = stage(|_| document("{}"));
    stage.context.products = vec![ProductId(1)];
    stage.context.project.skip_unavailable_products = skip;
    Wish {
        at: haithe_kernel::Timestamp::from_seconds(1_700_000_000),
        caller: stage.caller(),
        conversation: None,
        question: "What is new?".into(),
        tools: true,
        room: Room::unlimited(),
        preparation: Arc::default(),
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
            next_price: None,
            created_at: Timestamp::from_seconds(0),
            retired: false,
            confirmed: true,
        },
        acceptance: if accepted {
            ProductAcceptance::Accepted
        } else {
            ProductAcceptance::AboveMaximum(Some(Usdt::from_nano(39)))
        },
        source: ProductSource {
            uri: id.to_string(),
            encrypted_key: String::new(),
            category: "promptset".into(),
            creator: CREATOR,
        },
        outdated: false,
        fault_noted: false,
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
    products_with(listed, loader, fetcher, MockToolServers::new())
}

fn products_with(
    listed: Vec<CallProduct>,
    loader: MockProductLoader,
    mut fetcher: MockFetcher,
    servers: MockToolServers,
) -> Products {
    let mut store = MockProductStore::new();
    store.expect_for_call().returning(move |_| Ok(listed.clone()));
    store.expect_note_fault().returning(|_, _, _, _| Ok(()));
    fetcher
        .expect_refuses()
        .returning(|url| url.contains("private.example"));
    let fetcher: Arc<dyn Fetcher> = Arc::new(fetcher);
    let tools = Tools {
        documents: Arc::new(MockDocuments::new()),
        indexer: Arc::new(MockKnowledgeIndexer::new()),
        fetcher: Arc::clone(&fetcher),
        embedder: None,
        clock: Arc::new(FixedClock::at(Timestamp::from_seconds(1_000))),
    };
    Products::new(ProductPorts {
        store: Arc::new(store),
        opener: Arc::new(ProductOpener {
            loader: Arc::new(loader),
            knowledge: Arc::new(Knowledge::new(tools, ReadLimits::default())),
            fetcher,
            servers: Arc::new(servers),
        }),
    })
}

/// Why the only product refuses a call; a project that goes on without gets and pays nothing of it.
async fn refused_or_left_out(gear: impl Fn() -> Products) -> GearError {
    let refused = gear().equip(&wish(false)).await.err().unwrap();
    let equipment = gear().equip(&wish(true)).await.unwrap();
    assert!(equipment.instructions.is_empty() && equipment.tools.is_empty() && equipment.fees.is_empty());
    refused
}

#[tokio::test]
async fn prompts_and_tools_come_along_at_their_price() {
    let mut loader = MockProductLoader::new();
    loader
        .expect_load()
        .returning(|source| match source.uri.as_str() {
            "1" => Ok(prompts()),
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
    let answered = ToolOutcome::answered("status 200\nsunny");
    assert_eq!(tool.call(json!({"city": "Rome"})).await, answered);
    let refused = tool.call(json!({"town": "Rome"})).await;
    assert!(refused.failed && refused.text.starts_with("error: "));
    assert_eq!(equipment.tool_products["p2_weather"], ProductId(2));
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

/// One product whose content fails to load like this.
fn failing(listed: CallProduct, error: impl Fn() -> LoadError + Send + Sync + 'static) -> Products {
    let mut loader = MockProductLoader::new();
    loader.expect_load().returning(move |_| Err(error()));
    products(vec![listed], loader, MockFetcher::new())
}

#[tokio::test]
async fn what_cannot_be_loaded_now_refuses_the_call_or_is_left_out_as_the_project_says() {
    let refused = refused_or_left_out(|| failing(found(1, true), || LoadError::Gone)).await;
    assert_eq!(
        (refused.kind(), refused.code()),
        (Kind::Unavailable, "product_unavailable")
    );
    assert!(refused.to_string().contains("product 1"), "{refused}");
}

#[tokio::test]
async fn what_can_never_be_loaded_is_a_fault_of_the_product_with_its_field() {
    let refused = refused_or_left_out(|| failing(found(1, true), || LoadError::Category)).await;
    assert_eq!(
        (refused.kind(), refused.code()),
        (Kind::Unprocessable, "product_unusable")
    );
    assert!(
        refused.details().contains(&("field", "category".to_owned())),
        "{refused}"
    );
}

#[tokio::test]
async fn a_price_above_the_accepted_maximum_is_never_charged_and_both_prices_are_named() {
    let refused = refused_or_left_out(|| failing(found(1, false), || panic!("it was opened"))).await;
    assert_eq!(
        (refused.kind(), refused.code()),
        (Kind::PaymentRequired, "price_above_maximum")
    );
    let details = refused.details();
    assert!(
        details.contains(&("price_per_call_usdt", "0.00000004".to_owned())),
        "{details:?}"
    );
    assert!(
        details.contains(&("max_price_per_call_usdt", "0.000000039".to_owned())),
        "{details:?}"
    );
}

#[tokio::test]
async fn a_tool_whose_address_is_never_called_is_unusable() {
    let written =
        json!({"name": "inside", "description": "Reads", "method": "GET", "url": "https://private.example/"});
    let content = RpcTool::parse(written.to_string().as_bytes()).unwrap();
    let gear = || {
        let content = content.clone();
        let mut loader = MockProductLoader::new();
        loader
            .expect_load()
            .returning(move |_| Ok(ProductContent::Tool(content.clone())));
        products(vec![found(2, true)], loader, MockFetcher::new())
    };
    let refused = refused_or_left_out(gear).await;
    assert_eq!(refused.code(), "product_unusable");
    assert!(
        refused.details().contains(&("pointer", "/url".to_owned())),
        "{refused}"
    );
}

#[tokio::test]
async fn a_payer_of_another_organization_is_asked_for_the_prices_of_all_products_before_any_is_opened() {
    let mut wish = wish(false);
    let mut context = (*wish.caller.context).clone();
    context.project.org = haithe_kernel::OrgId(99);
    context.accepted = Some(Usdt::from_nano(700 + 79));
    wish.caller.context = Arc::new(context);
    let mut loader = MockProductLoader::new();
    loader.expect_load().never();
    let gear = products(vec![found(1, true), found(2, true)], loader, MockFetcher::new());
    let refused = gear.equip(&wish).await.err().unwrap();
    assert_eq!(refused.code(), "price_above_maximum");
    assert!(
        refused
            .details()
            .contains(&("products_price_usdt", "0.00000008".to_owned())),
        "{refused}"
    );
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
    assert_eq!(
        answer,
        ToolOutcome::failed("error: the address cannot be reached")
    );
}

fn server_of_tools() -> MockProductLoader {
    let mut loader = MockProductLoader::new();
    loader.expect_load().returning(|_| {
        let endpoint = McpEndpoint::parse(br#"{"url": "https://mcp.example/"}"#).unwrap();
        Ok(ProductContent::Mcp(endpoint))
    });
    loader
}

#[tokio::test]
async fn the_tools_of_a_server_come_along_at_the_price_of_one_product() {
    let mut servers = MockToolServers::new();
    servers.expect_open().times(1).returning(|_| {
        let tools = ["tide", "wind"].map(|name| ServedTool {
            name: name.into(),
            description: String::new(),
            schema: serde_json::Map::new(),
        });
        Ok(OpenServer {
            tools: tools.into(),
            session: Arc::new(MockToolSession::new()),
        })
    });
    let listed = vec![found(3, true)];
    let gear = products_with(listed, server_of_tools(), MockFetcher::new(), servers);
    let equipment = gear.equip(&wish(false)).await.unwrap();
    let names: Vec<_> = equipment
        .tools
        .iter()
        .map(|tool| tool.definition().name)
        .collect();
    assert_eq!(names, ["p3_tide", "p3_wind"]);
    assert_eq!(equipment.fees.len(), 1);
    // Where no tool can be offered, the server is not even called.
    let without = Wish {
        tools: false,
        ..wish(false)
    };
    let equipment = gear.equip(&without).await.unwrap();
    assert_eq!((equipment.tools.len(), equipment.fees.len()), (0, 0));
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_refuses_the_call_or_is_left_out() {
    let gear = || {
        let mut servers = MockToolServers::new();
        servers
            .expect_open()
            .returning(|_| Err(ToolServerError::Unreachable));
        products_with(
            vec![found(3, true)],
            server_of_tools(),
            MockFetcher::new(),
            servers,
        )
    };
    assert_eq!(
        refused_or_left_out(gear).await.to_string(),
        "the product product 3 cannot be loaded at the moment: the tools' server cannot be reached; \
         disable it or try again later"
    );
}

fn room(available: i64, context: u64) -> Room {
    let mut room = Room::unlimited();
    room.available = Usdt::from_nano(available);
    room.quote.model.input = crate::catalogue::PerMillion(1_000_000);
    room.context = context;
    room
}

#[tokio::test]
async fn products_that_cannot_be_paid_are_not_even_loaded() {
    let mut loader = MockProductLoader::new();
    loader.expect_load().never();
    let gear = products(vec![found(1, true), found(2, true)], loader, MockFetcher::new());
    let poor = Wish {
        room: room(80, u64::MAX),
        ..wish(false)
    };
    let refused = gear.equip(&poor).await.err().unwrap();
    assert!(
        matches!(refused, GearError::Unaffordable { least } if least == Usdt::from_nano(81)),
        "{refused}"
    );
}

#[tokio::test]
async fn loading_stops_as_soon_as_what_is_loaded_cannot_be_paid_or_read() {
    let set = json!([vec!["x"; 60_000].concat()]).to_string();
    for (room, code) in [
        (room(1_000_000, 500), "context_length_exceeded"),
        (room(20 * 40 + 500, u64::MAX), "insufficient_quota"),
    ] {
        let loaded = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = loaded.clone();
        let mut loader = MockProductLoader::new();
        let set = set.clone();
        loader.expect_load().returning(move |_| {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Ok(ProductContent::Prompts(PromptSet::parse(set.as_bytes()).unwrap()))
        });
        let listed = (1..=20).map(|id| found(id, true)).collect();
        let gear = products(listed, loader, MockFetcher::new());
        let limited = Wish { room, ..wish(false) };
        let refused = gear.equip(&limited).await.err().unwrap();
        assert_eq!(haithe_kernel::Failure::code(&refused), code);
        // 60,000 bytes are 235 tokens at least, so the third is too much; four are opened at once.
        assert!(loaded.load(std::sync::atomic::Ordering::SeqCst) <= 3 + AT_ONCE);
    }
}
