//! The ports of `billing` on the model store and the model chain, as one start of an instance has them.
//!
//! Every request is two points at which something else may happen: before it arrives, and before its answer is back.

pub mod chain;
pub mod ledger;
pub mod settlement;

use crate::{
    plan::Mode,
    world::{Handle, World},
};
use haithe_kernel::StoreError;

/// What a request does, and what it is refused without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It only reads.
    Read,
    /// It writes holds or charges, under the instance's epoch.
    Ledger,
    /// It writes as the one that does the background work, under the epoch of the lease.
    Background,
}

/// The requests of one start of an instance.
#[derive(Clone)]
pub struct Port {
    /// The world.
    pub world: Handle,
    /// The instance.
    pub instance: usize,
    /// Which of its starts.
    pub start: u32,
}

impl Port {
    /// One request of the store, in one transaction.
    ///
    /// # Errors
    /// A fault: the request was not applied, or it was and its answer is lost; or the epoch is not current.
    pub async fn request<R: Send>(
        &self,
        access: Access,
        transaction: impl FnOnce(&mut World) -> R + Send,
    ) -> Result<R, StoreError> {
        self.world.pause().await;
        let (output, is_lost) = self.apply(access, transaction)?;
        self.world.pause().await;
        if is_lost {
            Err(StoreError::new("the answer was lost"))
        } else {
            Ok(output)
        }
    }

    fn apply<R>(
        &self,
        access: Access,
        transaction: impl FnOnce(&mut World) -> R,
    ) -> Result<(R, bool), StoreError> {
        let mut world = self.world.lock();
        let number = self.instance;
        let (left, applied) = world.instances[number].store_fails;
        let fails = left > 0;
        if fails {
            world.instances[number].store_fails.0 -= 1;
            let what = if applied {
                "is applied and its answer is lost"
            } else {
                "fails"
            };
            world.log(format_args!("instance {number}: a request of the store {what}"));
        }
        if fails && !applied {
            return Err(StoreError::new("the store failed"));
        }
        if !self.is_current(&mut world, access) {
            return Err(StoreError::new("the epoch is not current"));
        }
        let output = transaction(&mut world);
        if fails && access != Access::Read && world.setup.mode == Mode::Memory {
            // The answer of a local database is lost with the process only.
            world.crashes.push((number, 3));
        }
        Ok((output, fails))
    }

    fn is_current(&self, world: &mut World, access: Access) -> bool {
        let number = self.instance;
        if world.setup.mode == Mode::Memory {
            return true;
        }
        match access {
            Access::Read => true,
            Access::Ledger => {
                let is_current = world.store.epochs[number].0 == world.instances[number].epoch;
                if !is_current {
                    world.log(format_args!(
                        "instance {number} has lost its epoch and starts again"
                    ));
                    world.crashes.push((number, 1));
                }
                is_current
            }
            Access::Background => {
                let is_current = world.has_lease(number);
                if !is_current {
                    world.instances[number].lease = None;
                }
                is_current
            }
        }
    }
}

impl World {
    /// Whether the instance does the background work.
    pub fn has_lease(&self, number: usize) -> bool {
        let lease = &self.store.lease;
        self.setup.mode == Mode::Memory
            || (lease.holder == Some(number) && self.instances[number].lease == Some(lease.epoch))
    }
}
