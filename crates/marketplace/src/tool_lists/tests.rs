//! Lists of tools are asked for once a minute, by one of those who want them.

use super::*;
use crate::ports::{MockToolServers, MockToolSession};
use futures::future::join_all;
use haithe_kernel::{FixedClock, Timestamp};
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// A server that counts what it is asked.
#[derive(Default)]
struct Asked {
    opened: AtomicUsize,
    sessions: AtomicUsize,
    calls: AtomicUsize,
}

/// Servers with these tools. The next listing or session fails with what `broken` says.
struct Counting {
    asked: Arc<Asked>,
    tools: Arc<[ServedTool]>,
    broken: Arc<std::sync::Mutex<Option<ToolServerError>>>,
}

impl Counting {
    fn session(&self) -> Arc<dyn ToolSession> {
        let mut session = MockToolSession::new();
        let asked = Arc::clone(&self.asked);
        session.expect_call().returning(move |tool, _| {
            asked.calls.fetch_add(1, SeqCst);
            Ok(ToolAnswer {
                text: format!("unknown tool {tool}"),
                failed: tool == "gone",
            })
        });
        Arc::new(session)
    }

    fn broken(&self) -> Result<(), ToolServerError> {
        self.broken.lock().unwrap().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl ToolServers for Counting {
    async fn open(&self, _: &McpEndpoint) -> Result<OpenServer, ToolServerError> {
        self.asked.opened.fetch_add(1, SeqCst);
        // Others who want the same come meanwhile.
        tokio::time::sleep(Duration::from_millis(50)).await;
        self.broken()?;
        Ok(OpenServer {
            tools: Arc::clone(&self.tools),
            session: self.session(),
        })
    }

    async fn session(&self, _: &McpEndpoint) -> Result<Arc<dyn ToolSession>, ToolServerError> {
        self.asked.sessions.fetch_add(1, SeqCst);
        self.broken()?;
        Ok(self.session())
    }
}

struct Stage {
    lists: ToolLists,
    clock: Arc<FixedClock>,
    asked: Arc<Asked>,
    broken: Arc<std::sync::Mutex<Option<ToolServerError>>>,
}

impl Stage {
    fn new(tools: &[ServedTool]) -> Self {
        let clock = Arc::new(FixedClock::at(Timestamp::from_seconds(1_000)));
        let (asked, broken) = (Arc::<Asked>::default(), Arc::default());
        let servers = Counting {
            asked: Arc::clone(&asked),
            tools: tools.into(),
            broken: Arc::clone(&broken),
        };
        Self {
            lists: ToolLists::new(Arc::new(servers), Arc::clone(&clock) as Arc<dyn Clock>),
            clock,
            asked,
            broken,
        }
    }

    /// How many listings, sessions beside them, and calls there were.
    fn asked(&self) -> (usize, usize, usize) {
        let Asked {
            opened,
            sessions,
            calls,
        } = &*self.asked;
        (opened.load(SeqCst), sessions.load(SeqCst), calls.load(SeqCst))
    }

    fn breaks(&self, error: Option<ToolServerError>) {
        *self.broken.lock().unwrap() = error;
    }

    async fn open(&self) -> Result<OpenServer, ToolServerError> {
        self.lists.open(&endpoint("tides")).await
    }
}

fn endpoint(path: &str) -> McpEndpoint {
    let written = json!({"url": format!("https://mcp.example/{path}"), "tools": ["tide", "wind", "gone"]});
    McpEndpoint::parse(written.to_string().as_bytes()).unwrap()
}

fn tool(name: &str) -> ServedTool {
    ServedTool {
        name: name.to_owned(),
        description: "Tells".to_owned(),
        schema: Map::new(),
    }
}

fn names(server: &OpenServer) -> Vec<&str> {
    server.tools.iter().map(|tool| tool.name.as_str()).collect()
}

#[tokio::test]
async fn however_many_ask_within_a_minute_the_server_lists_its_tools_once() {
    let stage = Stage::new(&[tool("tide"), tool("drop_all"), tool("wind")]);
    let together = join_all((0..20).map(|_| stage.open())).await;
    for server in &together {
        assert_eq!(
            names(server.as_ref().unwrap()),
            ["tide", "wind"],
            "what is offered"
        );
    }
    stage.clock.advance(Duration::from_secs(59));
    for _ in 0..20 {
        assert_eq!(names(&stage.open().await.unwrap()), ["tide", "wind"]);
    }
    assert_eq!(stage.asked(), (1, 0, 0));
    stage.clock.advance(Duration::from_secs(1));
    join_all((0..20).map(|_| stage.open())).await;
    assert_eq!(stage.asked(), (2, 0, 0), "again after a minute, and once");
    stage.lists.open(&endpoint("winds")).await.unwrap();
    assert_eq!(stage.asked(), (3, 0, 0), "another product is another list");
}

#[tokio::test]
async fn a_step_of_the_time_of_day_neither_prolongs_nor_ends_a_list() {
    let stage = Stage::new(&[tool("tide")]);
    stage.open().await.unwrap();
    stage.clock.set(Timestamp::from_seconds(100_000));
    stage.open().await.unwrap();
    assert_eq!(stage.asked(), (1, 0, 0));
    stage.clock.set(Timestamp::from_seconds(0));
    stage.clock.advance(Duration::from_secs(60));
    stage.open().await.unwrap();
    assert_eq!(stage.asked(), (2, 0, 0));
}

#[tokio::test]
async fn a_session_is_opened_for_a_known_list_when_a_tool_is_called_and_once() {
    let stage = Stage::new(&[tool("tide")]);
    let first = stage.open().await.unwrap();
    first.session.call("tide", Map::new()).await.unwrap();
    assert_eq!(stage.asked(), (1, 0, 1), "the listing's own session is used");
    let second = stage.open().await.unwrap();
    assert_eq!(stage.asked(), (1, 0, 1), "nothing is opened that nobody calls");
    let calls = (0..5).map(|_| second.session.call("tide", Map::new()));
    assert!(join_all(calls).await.iter().all(Result::is_ok));
    assert_eq!(stage.asked(), (1, 1, 6));
}

#[tokio::test]
async fn a_tool_that_the_server_has_no_more_is_an_answer_that_failed() {
    let stage = Stage::new(&[tool("gone")]);
    stage.open().await.unwrap();
    let server = stage.open().await.unwrap();
    let answer = server.session.call("gone", Map::new()).await.unwrap();
    assert!(answer.failed);
    assert_eq!(answer.text, "unknown tool gone");
}

#[tokio::test]
async fn a_server_that_is_gone_behind_a_known_list_is_asked_once_in_a_call() {
    let stage = Stage::new(&[tool("tide")]);
    stage.open().await.unwrap();
    stage.breaks(Some(ToolServerError::Unreachable));
    let server = stage.open().await.unwrap();
    for answer in join_all((0..5).map(|_| server.session.call("tide", Map::new()))).await {
        assert_eq!(answer, Err(ToolServerError::Unreachable));
    }
    assert_eq!(stage.asked(), (1, 1, 0));
    stage.breaks(None);
    let next = stage.open().await.unwrap();
    assert!(
        next.session.call("tide", Map::new()).await.is_ok(),
        "the next call tries"
    );
}

#[tokio::test]
async fn a_listing_that_failed_is_shared_and_soon_tried_again() {
    let stage = Stage::new(&[tool("tide")]);
    stage.breaks(Some(ToolServerError::Late));
    for failed in join_all((0..20).map(|_| stage.open())).await {
        assert_eq!(failed.err(), Some(ToolServerError::Late));
    }
    assert_eq!(stage.asked(), (1, 0, 0));
    stage.breaks(None);
    stage.clock.advance(Duration::from_secs(4));
    assert_eq!(stage.open().await.err(), Some(ToolServerError::Late));
    stage.clock.advance(Duration::from_secs(1));
    assert_eq!(names(&stage.open().await.unwrap()), ["tide"]);
    assert_eq!(stage.asked(), (2, 0, 0));
}

#[tokio::test]
async fn a_listing_that_keeps_failing_is_tried_after_growing_pauses() {
    let stage = Stage::new(&[tool("tide")]);
    stage.breaks(Some(ToolServerError::Late));
    for (number, pause) in (1..).zip([5, 10, 20, 40]) {
        assert!(stage.open().await.is_err());
        assert_eq!(stage.asked(), (number, 0, 0));
        stage.clock.advance(Duration::from_secs(pause - 1));
        assert!(stage.open().await.is_err());
        assert_eq!(stage.asked(), (number, 0, 0), "within {pause} s");
        stage.clock.advance(Duration::from_secs(1));
    }
}

#[tokio::test]
async fn whoever_leaves_during_the_listing_takes_nobody_with_it() {
    let stage = Stage::new(&[tool("tide")]);
    let leaves = tokio::time::timeout(Duration::from_millis(10), stage.open());
    let (left, stayed) = futures::join!(leaves, stage.open());
    assert!(left.is_err());
    assert_eq!(names(&stayed.unwrap()), ["tide"]);
    assert_eq!(
        stage.asked(),
        (2, 0, 0),
        "one of those who wait asks in its place"
    );
}

#[tokio::test]
async fn lists_are_kept_up_to_a_number_of_bytes() {
    let long = ServedTool {
        schema: Map::from_iter([("enum".to_owned(), json!(vec![0; 40_000]))]),
        ..tool("tide")
    };
    let stage = Stage::new(&[long]);
    for number in 0..20 {
        stage.lists.open(&endpoint(&number.to_string())).await.unwrap();
    }
    stage.lists.lists.run_pending_tasks().await;
    let kept = stage.lists.lists.weighted_size();
    assert!((1..=KEPT_BYTES).contains(&kept), "{kept}");
    assert!(stage.lists.lists.entry_count() < 20);
}

#[tokio::test]
async fn a_session_that_is_asked_for_is_the_servers() {
    let mut servers = MockToolServers::new();
    servers
        .expect_session()
        .times(1)
        .returning(|_| Err(ToolServerError::Denied));
    let clock = FixedClock::at(Timestamp::from_seconds(0));
    let lists = ToolLists::new(Arc::new(servers), Arc::new(clock));
    assert_eq!(
        lists.session(&endpoint("a")).await.err(),
        Some(ToolServerError::Denied)
    );
}
