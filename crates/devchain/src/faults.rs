//! Trouble on purpose: answers that are slow, wrong or lost.

use crate::RpcError;
use std::{collections::HashMap, time::Duration};

/// What goes wrong next.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    delay: Duration,
    failing: HashMap<String, (u32, RpcError)>,
    lost: HashMap<String, u32>,
}

impl Faults {
    pub fn set_delay(&mut self, delay: Duration) {
        self.delay = delay;
    }

    pub fn delay(&self) -> Duration {
        self.delay
    }

    pub fn fail_next(&mut self, method: &str, times: u32, error: RpcError) {
        self.failing.insert(method.to_owned(), (times, error));
    }

    pub fn lose_answer_next(&mut self, method: &str, times: u32) {
        self.lost.insert(method.to_owned(), times);
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The error this call must end with, if it must.
    pub fn failure(&mut self, method: &str) -> Option<RpcError> {
        let (times, error) = self.failing.get_mut(method)?;
        *times = times.checked_sub(1)?;
        Some(error.clone())
    }

    /// Whether this call's answer gets lost on the way back.
    pub fn loses(&mut self, method: &str) -> bool {
        let Some(times) = self.lost.get_mut(method) else {
            return false;
        };
        match times.checked_sub(1) {
            Some(left) => {
                *times = left;
                true
            }
            None => false,
        }
    }
}
