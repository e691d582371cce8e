use super::{
    fake::{Change, FakeChain, FakeIndex, ORG},
    *,
};
use crate::ports::{MockChainIndex, MockChainReader};
use haithe_kernel::{FixedClock, Timestamp};
use proptest::prelude::*;
use std::time::Duration;

const NOON: Timestamp = Timestamp::from_seconds(1_800_000_000);

struct World {
    chain: Arc<FakeChain>,
    index: Arc<FakeIndex>,
    clock: Arc<FixedClock>,
    gate: Arc<SettlementGate>,
    indexer: Indexer,
}

fn world(blocks: usize, config: IndexerConfig) -> World {
    let chain = Arc::new(FakeChain::with(blocks));
    let index = Arc::new(FakeIndex::default());
    let clock = Arc::new(FixedClock::at(NOON));
    let gate = Arc::new(SettlementGate::new(clock.clone(), Duration::from_secs(86_400)));
    let indexer = Indexer::new(chain.clone(), index.clone(), clock.clone(), gate.clone(), config);
    World {
        chain,
        index,
        clock,
        gate,
        indexer,
    }
}

const CONFIG: IndexerConfig = IndexerConfig {
    start: 1,
    depths: Depths {
        confirmations: 2,
        finality: 4,
    },
    range: 100,
    remembered: 8,
};

impl World {
    async fn catch_up(&self) {
        for _ in 0..1_000 {
            if self.indexer.step().await.unwrap().is_caught_up() {
                return;
            }
        }
        panic!("a thousand steps did not catch up");
    }

    fn assert_complete(&self) {
        assert_eq!(self.index.events(), self.chain.truth(CONFIG.start));
    }

    /// Whatever the chain is now, what is indexed was true of one chain at one moment.
    fn assert_consistent(&self) {
        let checkpoint = self.index.checkpoint();
        let truth = checkpoint.map(|block| self.chain.truth_at(block, CONFIG.start));
        assert_eq!(self.index.events(), truth.unwrap_or_default());
    }
}

#[tokio::test]
async fn it_reads_from_the_start_to_the_head_range_by_range() {
    let world = world(25, IndexerConfig { range: 10, ..CONFIG });
    let first = world.indexer.step().await.unwrap();
    assert_eq!((first.lag(), first.effects.new_events), (15, 10));
    assert!(!first.is_caught_up());
    world.catch_up().await;
    assert_eq!(world.index.steps(), [(10, 10, 10), (20, 20, 20), (25, 24, 22)]);
    world.assert_complete();
}

#[tokio::test]
async fn a_chain_that_has_not_reached_the_start_is_nothing_to_do() {
    let world = world(3, IndexerConfig { start: 9, ..CONFIG });
    let progress = world.indexer.step().await.unwrap();
    assert!(progress.is_caught_up());
    assert_eq!(progress.checkpoint, None);
}

#[tokio::test]
async fn a_step_without_new_blocks_changes_nothing() {
    let world = world(5, CONFIG);
    world.catch_up().await;
    let again = world.indexer.step().await.unwrap();
    assert_eq!(again.effects, StepEffects::default());
    assert_eq!(world.index.steps().len(), 1);
}

#[tokio::test]
async fn facts_count_once_enough_blocks_are_on_top() {
    let world = world(1, CONFIG);
    world.catch_up().await;
    for _ in 0..4 {
        world.chain.change(Change::Mine(vec![0]));
        world.catch_up().await;
    }
    assert_eq!(
        world.index.steps(),
        [(1, 0, 0), (2, 1, 0), (3, 2, 0), (4, 3, 1), (5, 4, 2)]
    );
}

#[tokio::test]
async fn a_node_that_refuses_large_ranges_is_asked_for_less() {
    let world = world(40, CONFIG);
    world.chain.allow(7);
    world.catch_up().await;
    world.assert_complete();
}

#[tokio::test]
async fn only_blocks_that_may_yet_be_taken_back_are_remembered() {
    let world = world(30, IndexerConfig { range: 10, ..CONFIG });
    world.catch_up().await;
    assert_eq!(world.index.remembered(), [10, 20, 23, 24, 25, 26, 27, 28, 29, 30]);
}

#[tokio::test]
async fn a_reorganization_takes_the_index_back_to_the_common_ancestor() {
    let world = world(10, CONFIG);
    world.catch_up().await;
    for again in [true, false] {
        world.chain.change(Change::Reorg {
            depth: 3,
            blocks: 4,
            again,
        });
        let length = world.chain.tip().number;
        let progress = world.indexer.step().await.unwrap();
        assert_eq!(progress.rewound, Some(3));
        assert_eq!(progress.checkpoint, Some(world.chain.at(length - 4)));
        world.catch_up().await;
        world.assert_complete();
    }
}

#[tokio::test]
async fn a_reorganization_to_a_chain_of_the_same_length_is_noticed() {
    let world = world(10, CONFIG);
    world.catch_up().await;
    world.chain.change(Change::Reorg {
        depth: 1,
        blocks: 1,
        again: false,
    });
    world.catch_up().await;
    world.assert_complete();
}

#[tokio::test]
async fn whenever_the_chain_changes_during_a_step_only_what_is_true_is_written() {
    for (range, depth, after) in [2, 100]
        .iter()
        .flat_map(|range| (1..=5).flat_map(move |depth| (0..14).map(move |after| (*range, depth, after))))
    {
        let world = world(6, IndexerConfig { range, ..CONFIG });
        world.catch_up().await;
        world.chain.change(Change::Mine(vec![1, 2, 1]));
        let blocks = depth + 1;
        let again = true;
        world
            .chain
            .change_later(after, Change::Reorg { depth, blocks, again });
        world.indexer.step().await.unwrap();
        world.assert_consistent();
        world.catch_up().await;
        world.assert_complete();
    }
}

#[tokio::test]
async fn a_chain_that_never_stands_still_is_an_error_and_nothing_is_written() {
    let world = world(6, CONFIG);
    for after in 0..200 {
        world.chain.change_later(
            after,
            Change::Reorg {
                depth: 5,
                blocks: 5,
                again: true,
            },
        );
    }
    assert!(matches!(world.indexer.step().await, Err(IndexError::Moving)));
    assert!(world.index.steps().is_empty());
}

#[tokio::test]
async fn a_reorganization_deeper_than_remembered_is_an_error_and_nothing_is_undone() {
    let world = world(30, CONFIG);
    world.catch_up().await;
    let before = world.index.events();
    world.chain.change(Change::Reorg {
        depth: 9,
        blocks: 10,
        again: true,
    });
    let error = world.indexer.step().await.unwrap_err();
    assert!(
        matches!(
            error,
            IndexError::TooDeep {
                checkpoint: 30,
                remembered: 8
            }
        ),
        "{error}"
    );
    assert_eq!(world.index.events(), before);
    assert_eq!(world.index.rewinds(), 0);
}

#[tokio::test]
async fn a_young_chain_can_be_taken_back_to_before_its_first_event() {
    let world = world(4, CONFIG);
    world.catch_up().await;
    world.chain.change(Change::Reorg {
        depth: 4,
        blocks: 6,
        again: true,
    });
    let progress = world.indexer.step().await.unwrap();
    assert_eq!(progress.checkpoint, Some(world.chain.at(0)));
    world.catch_up().await;
    world.assert_complete();
}

#[tokio::test]
async fn a_node_that_lags_behind_the_index_is_no_reorganization() {
    let world = world(10, CONFIG);
    world.catch_up().await;
    for behind in [9, 4, 0] {
        world.chain.show(Some(behind));
        let progress = world.indexer.step().await.unwrap();
        assert_eq!(
            (progress.rewound, progress.effects),
            (None, StepEffects::default())
        );
    }
    world.chain.show(None);
    world.catch_up().await;
    assert_eq!(world.index.rewinds(), 0);
    world.assert_complete();
}

#[tokio::test]
async fn a_shorter_chain_that_disagrees_is_a_reorganization() {
    let world = world(10, CONFIG);
    world.catch_up().await;
    world.chain.change(Change::Reorg {
        depth: 4,
        blocks: 2,
        again: false,
    });
    world.catch_up().await;
    world.assert_complete();
}

#[tokio::test]
async fn the_gate_learns_how_complete_the_index_is() {
    let world = world(25, IndexerConfig { range: 10, ..CONFIG });
    world.indexer.step().await.unwrap();
    let lag = NOON.since(world.chain.at(10).time);
    assert_eq!(
        world.gate.lag().index,
        lag,
        "while blocks are missing: since the last indexed one"
    );

    world.catch_up().await;
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(
        world.gate.lag().index,
        Duration::from_secs(60),
        "then: since the head was asked for"
    );

    world.chain.show(Some(5));
    world.indexer.step().await.unwrap();
    assert_eq!(
        world.gate.lag().index,
        Duration::from_secs(60),
        "a node that lags says nothing new"
    );
}

/// What a step makes of a node whose events are those of the chain after `alter`.
async fn step_with_events(alter: fn(&mut ChainEvent)) -> Result<IndexProgress, IndexError> {
    let chain = FakeChain::with(3);
    let mut events = chain.truth(1);
    events.iter_mut().for_each(alter);
    let blocks: Vec<_> = (0..=3).map(|number| chain.at(number)).collect();
    let head = chain.tip();
    let mut reader = MockChainReader::new();
    reader.expect_head().returning(move || Ok(head));
    reader
        .expect_block()
        .returning(move |number| Ok(blocks.get(number as usize).copied()));
    reader.expect_events().returning(move |_, _, orgs| {
        assert_eq!(orgs, [ORG]);
        Ok(events.clone())
    });
    let mut index = MockChainIndex::new();
    index.expect_checkpoint().returning(|| Ok(None));
    index.expect_organizations().returning(|| Ok(vec![ORG]));
    index.expect_apply().returning(|_| Ok(StepEffects::default()));

    let clock = Arc::new(FixedClock::at(NOON));
    let gate = Arc::new(SettlementGate::new(clock.clone(), Duration::from_secs(1)));
    let indexer = Indexer::new(Arc::new(reader), Arc::new(index), clock, gate, CONFIG);
    indexer.step().await
}

#[tokio::test]
async fn events_of_blocks_that_were_not_asked_for_are_refused() {
    assert!(step_with_events(|_| {}).await.is_ok());
    let refused = step_with_events(|event| event.block += 1).await;
    assert!(matches!(
        refused,
        Err(IndexError::Chain(ChainError::Unavailable(_)))
    ));
}

#[tokio::test]
async fn events_of_other_blocks_with_the_same_numbers_are_not_taken() {
    let refused = step_with_events(|event| event.block_hash = [7; 32]).await;
    assert!(matches!(refused, Err(IndexError::Moving)));
}

#[derive(Debug, Clone)]
enum Move {
    Now(Change),
    Later(usize, Change),
    Step,
    Allow(u64),
    Show(Option<u64>),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        prop::collection::vec(0usize..3, 1..6).prop_map(Change::Mine),
        // Shallower than what is remembered, or the right answer is an error.
        (0usize..4, 0usize..6, any::<bool>()).prop_map(|(depth, blocks, again)| Change::Reorg {
            depth,
            blocks,
            again
        }),
    ]
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        3 => change().prop_map(Move::Now),
        3 => (0usize..12, change()).prop_map(|(after, change)| Move::Later(after, change)),
        5 => Just(Move::Step),
        1 => (1u64..6).prop_map(Move::Allow),
        1 => prop::option::of(0u64..30).prop_map(Move::Show),
    ];
    prop::collection::vec(one, 1..40)
}

proptest! {
    #[test]
    fn whatever_the_chain_does_the_index_ends_up_with_exactly_its_events(moves in moves(), range in 1u64..9) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = world(3, IndexerConfig { range, remembered: 500, ..CONFIG });
            for step in moves {
                match step {
                    Move::Now(change) => world.chain.change(change),
                    Move::Later(after, change) => world.chain.change_later(after, change),
                    Move::Allow(blocks) => world.chain.allow(blocks),
                    Move::Show(head) => world.chain.show(head),
                    Move::Step => {
                        let done = world.indexer.step().await;
                        assert!(matches!(done, Ok(_) | Err(IndexError::Moving)), "{done:?}");
                        world.assert_consistent();
                    }
                }
            }
            world.chain.show(None);
            for _ in 0..30 {
                let _ = world.indexer.step().await;
            }
            // A chain cut short says nothing until it grows past what was indexed.
            world.chain.change(Change::Mine(vec![1; 60]));
            world.catch_up().await;
            world.assert_complete();
        });
    }
}
