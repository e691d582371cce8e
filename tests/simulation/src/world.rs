//! Everything that tasks share: the virtual clock, the chain, the store, the instances' memory, and the log.

use crate::{chain::Chain, defect::Defect, instance::Instance, oracle::Oracle, plan::Setup, store::Store};
use haithe_kernel::{Clock, MonotonicTime, Timestamp};
use rand::{SeedableRng, rngs::StdRng};
use std::{
    collections::hash_map::DefaultHasher,
    fmt,
    future::Future,
    hash::Hasher,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

/// A task's future.
pub type TaskFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A task that is to be started.
pub struct Spawn {
    /// What it is, for the log.
    pub name: &'static str,
    /// The instance that runs it, and how often that had started; `None` for what is outside.
    pub instance: Option<(usize, u32)>,
    /// It is dropped after so many polls.
    pub polls: Option<u32>,
    /// What it does.
    pub future: TaskFuture,
}

/// The virtual clock.
#[derive(Debug)]
pub struct VirtualClock {
    start: i64,
    micros: AtomicI64,
}

impl VirtualClock {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> Self {
        Self {
            start: start.micros(),
            micros: AtomicI64::new(start.micros()),
        }
    }

    /// Lets time pass.
    pub fn advance_to(&self, time: Timestamp) {
        self.micros.fetch_max(time.micros(), Relaxed);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.micros.load(Relaxed))
    }

    fn monotonic(&self) -> MonotonicTime {
        let passed = self.micros.load(Relaxed) - self.start;
        MonotonicTime::from_start(Duration::from_micros(u64::try_from(passed).unwrap_or(0)))
    }
}

/// The log of a history: a digest of every line, and the lines themselves where they are wanted.
#[derive(Default)]
pub struct Log {
    hasher: DefaultHasher,
    /// The lines, if they are kept.
    pub lines: Option<Vec<String>>,
    count: u64,
}

impl Log {
    /// The digest of all lines so far.
    pub fn digest(&self) -> u64 {
        self.hasher.finish()
    }

    /// How many lines there were.
    pub fn count(&self) -> u64 {
        self.count
    }
}

impl fmt::Write for Log {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.hasher.write(text.as_bytes());
        if let Some(lines) = &mut self.lines
            && let Some(last) = lines.last_mut()
        {
            last.push_str(text);
        }
        Ok(())
    }
}

/// What all tasks share.
pub struct World {
    /// What stays the same.
    pub setup: Setup,
    /// The time.
    pub clock: Arc<VirtualClock>,
    /// When the history began.
    pub start: Timestamp,
    /// What the chain and the executor do at random.
    pub rng: StdRng,
    /// The chain.
    pub chain: Chain,
    /// What survives crashes.
    pub store: Store,
    /// What does not.
    pub instances: Vec<Instance>,
    /// What must always hold.
    pub oracle: Oracle,
    /// What happened.
    pub log: Log,
    /// A defect that the history must find.
    pub defect: Option<Defect>,
    /// Tasks to start.
    pub spawned: Vec<Spawn>,
    /// Instances that crash at the end of this turn, and the seconds that they are down.
    pub crashes: Vec<(usize, u64)>,
    /// When the task that is being polled wants to be polled again.
    pub wake: Option<Timestamp>,
    /// Until when a fault may delay settlement or the index for every organization.
    pub disturbed_until: Timestamp,
    /// Everything has to settle now: no new faults.
    pub is_draining: bool,
}

impl World {
    /// The world at the start.
    pub fn new(setup: &Setup, seed: u64, defect: Option<Defect>) -> Self {
        let start = Timestamp::from_seconds(1_799_971_200 + setup.starts_at);
        let clock = Arc::new(VirtualClock::new(start));
        Self {
            setup: setup.clone(),
            start,
            rng: StdRng::seed_from_u64(seed ^ 0x5eed),
            chain: Chain::new(start),
            store: Store::new(setup, defect),
            instances: (0..setup.instances)
                .map(|_| Instance::new(clock.clone()))
                .collect(),
            clock,
            oracle: Oracle::default(),
            log: Log::default(),
            defect,
            spawned: Vec::new(),
            crashes: Vec::new(),
            wake: None,
            disturbed_until: start,
            is_draining: false,
        }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Adds a line to the log.
    pub fn log(&mut self, line: fmt::Arguments<'_>) {
        let passed = self.now().since(self.start);
        if let Some(lines) = &mut self.log.lines {
            lines.push(String::new());
        }
        self.log.count += 1;
        let seconds = passed.as_millis();
        let written = fmt::write(
            &mut self.log,
            format_args!("{:>9}.{:03}  {line}", seconds / 1_000, seconds % 1_000),
        );
        debug_assert!(written.is_ok());
        self.log.hasher.write_u8(b'\n');
    }

    /// An invariant is broken.
    pub fn violate(&mut self, invariant: &'static str, detail: String) {
        self.log(format_args!("VIOLATION of \"{invariant}\": {detail}"));
        self.oracle.violate(invariant, detail);
    }

    /// Starts a task outside of all instances.
    pub fn spawn(&mut self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        self.spawned.push(Spawn {
            name,
            instance: None,
            polls: None,
            future: Box::pin(future),
        });
    }

    /// A fault begins that may delay every organization until `seconds` from now.
    pub fn disturb(&mut self, seconds: u64) {
        let until = self.now().plus(Duration::from_secs(seconds));
        self.disturbed_until = self.disturbed_until.max(until);
    }
}

/// The world, shared by all tasks of one history. There is one thread, so that its lock is always free.
#[derive(Clone)]
pub struct Handle(Arc<Mutex<World>>);

impl Handle {
    /// Shares a world.
    pub fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    /// The world.
    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets other tasks run.
    pub fn pause(&self) -> Pause {
        Pause {
            handle: self.clone(),
            until: None,
            is_polled: false,
        }
    }

    /// Waits.
    pub fn sleep(&self, span: Duration) -> Pause {
        let until = self.lock().now().plus(span);
        Pause {
            handle: self.clone(),
            until: Some(until),
            is_polled: false,
        }
    }

    /// Waits for so many seconds.
    pub fn seconds(&self, seconds: u64) -> Pause {
        self.sleep(Duration::from_secs(seconds))
    }
}

/// A future that is ready when it is polled again, at a time or at any time.
pub struct Pause {
    handle: Handle,
    until: Option<Timestamp>,
    is_polled: bool,
}

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.is_polled {
            return Poll::Ready(());
        }
        self.is_polled = true;
        self.handle.lock().wake = self.until;
        Poll::Pending
    }
}

/// The output of a future that never waits.
pub fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a rule waited"),
    }
}
