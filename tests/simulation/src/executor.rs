//! Polls tasks one at a time, in an order that the seed decides, and carries out the steps of the plan.

use crate::{
    background, outside, payer,
    plan::{Action, Plan},
    world::{Handle, Spawn, TaskFuture},
};
use haithe_kernel::Timestamp;
use rand::Rng;
use std::{
    collections::VecDeque,
    task::{Context, Waker},
    time::Duration,
};

struct Task {
    name: &'static str,
    instance: Option<(usize, u32)>,
    polls: Option<u32>,
    wake: Timestamp,
    future: TaskFuture,
}

/// Runs the tasks of one history.
pub struct Executor {
    /// The world.
    pub world: Handle,
    tasks: Vec<Task>,
    steps: VecDeque<(Timestamp, Action)>,
    random_turns: u64,
    /// Polls so far.
    pub turns: u64,
}

impl Executor {
    /// An executor for the steps of a plan.
    pub fn new(world: Handle, plan: &Plan) -> Self {
        let start = world.lock().start;
        let at = |seconds| start.plus(Duration::from_secs(seconds));
        let steps = plan.steps.iter().map(|step| (at(step.at), step.action.clone()));
        Self {
            steps: steps.collect(),
            world,
            tasks: Vec::new(),
            random_turns: plan.random_turns,
            turns: 0,
        }
    }

    /// Runs until `end`, or until an invariant is broken. Returns whether none is.
    pub fn run_until(&mut self, end: Timestamp) -> bool {
        loop {
            if self.world.lock().oracle.violation.is_some() {
                return false;
            }
            self.adopt();
            let now = self.world.lock().now();
            if now >= end {
                return true;
            }
            if self.steps.front().is_some_and(|(at, _)| *at <= now) {
                if let Some((_, action)) = self.steps.pop_front() {
                    self.act(action);
                }
                continue;
            }
            match self.choose(now) {
                Some(at) => self.poll(at),
                None => self.wait(end),
            }
        }
    }

    fn adopt(&mut self) {
        let mut world = self.world.lock();
        let now = world.now();
        for Spawn {
            name,
            instance,
            polls,
            future,
        } in world.spawned.drain(..)
        {
            self.tasks.push(Task {
                name,
                instance,
                polls,
                wake: now,
                future,
            });
        }
    }

    /// The task to poll, if any can be polled now.
    fn choose(&self, now: Timestamp) -> Option<usize> {
        let mut world = self.world.lock();
        let is_stalled = |task: &Task| {
            let of_instance = task
                .instance
                .and_then(|(number, _)| world.instances[number].stalled_until);
            of_instance.is_some_and(|until| until > now)
        };
        let can_run = |(_, task): &(usize, &Task)| task.wake <= now && !is_stalled(task);
        let runnable: Vec<usize> = self
            .tasks
            .iter()
            .enumerate()
            .filter(can_run)
            .map(|(at, _)| at)
            .collect();
        if runnable.is_empty() {
            return None;
        }
        if self.turns < self.random_turns {
            return Some(runnable[world.rng.random_range(0..runnable.len())]);
        }
        runnable.into_iter().min_by_key(|at| self.tasks[*at].wake)
    }

    fn poll(&mut self, at: usize) {
        self.turns += 1;
        let task = &mut self.tasks[at];
        self.world.lock().wake = None;
        let is_done = task
            .future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready();
        let mut world = self.world.lock();
        let now = world.now();
        task.wake = world.wake.take().unwrap_or(now);
        let leaves = task.polls.as_mut().is_some_and(|left| {
            *left = left.saturating_sub(1);
            *left == 0
        });
        if leaves && !is_done {
            world.log(format_args!("the client leaves: {} is dropped", task.name));
        }
        if let Some((number, start)) = task.instance
            && world.instances[number].start == start
            && let Some((left, down)) = world.instances[number].crash_after
        {
            world.instances[number].crash_after = left.checked_sub(1).map(|left| (left, down));
            if left == 0 {
                world.crashes.push((number, down));
            }
        }
        let passed = world.rng.random_range(100..20_000);
        world.clock.advance_to(now.plus(Duration::from_micros(passed)));
        world.check_step();
        if self.turns.is_multiple_of(64) {
            world.check_store();
        }
        drop(world);
        if is_done || leaves {
            // Outside of the lock: what it drops may release holds.
            drop(self.tasks.swap_remove(at));
        }
        self.crash_now();
    }

    fn wait(&mut self, end: Timestamp) {
        let world = self.world.lock();
        let stalled = |task: &Task| {
            task.instance
                .and_then(|(number, _)| world.instances[number].stalled_until)
        };
        let wakes = self
            .tasks
            .iter()
            .map(|task| stalled(task).map_or(task.wake, |until| until.max(task.wake)));
        let next = wakes.chain(self.steps.front().map(|(at, _)| *at)).min();
        let next = next.unwrap_or(end).min(end);
        world.clock.advance_to(next);
    }

    /// Ends the instances that crash now: their memory and their tasks are gone.
    pub fn crash_now(&mut self) {
        loop {
            let mut world = self.world.lock();
            let Some((number, down)) = world.crashes.pop() else {
                return;
            };
            if !world.instances[number].is_up {
                continue;
            }
            world.log(format_args!("instance {number} crashes"));
            let start = world.instances[number].start;
            world.instances[number].end();
            background::forget(&mut world, number);
            let handle = self.world.clone();
            world.spawn("restart", async move {
                handle.seconds(down).await;
                background::start(&handle, number);
            });
            world.check_store();
            drop(world);
            let is_its = |task: &mut Task| task.instance == Some((number, start));
            let gone: Vec<Task> = self.tasks.extract_if(.., is_its).collect();
            drop(gone);
        }
    }

    fn act(&mut self, action: Action) {
        let handle = self.world.clone();
        let mut world = handle.lock();
        world.log(format_args!("{action}"));
        match action {
            Action::Call(call) => {
                drop(world);
                payer::request(&handle, call);
                return;
            }
            Action::Crash {
                instance,
                after,
                down,
            } => world.instances[instance].crash_after = Some((after, down)),
            Action::Stall { instance, seconds } => {
                let until = world.now().plus(Duration::from_secs(seconds));
                world.instances[instance].stalled_until = Some(until);
                world.disturb(seconds);
            }
            Action::StoreFails {
                instance,
                requests,
                applied,
            } => {
                world.instances[instance].store_fails = (requests, applied);
            }
            action => {
                drop(world);
                outside::act(&handle, action);
                return;
            }
        }
        drop(world);
        self.crash_now();
    }
}
