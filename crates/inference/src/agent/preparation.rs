//! The memory in which calls are prepared: what products bring is copied for each call, before its
//! money is set aside, so the copies are bounded over all calls and for each payer.

use super::gear::GearError;
use haithe_kernel::OrgId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Bytes that a call may take without being counted.
const SMALL: usize = 128 * 1024;

/// How much is prepared at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limits {
    all: usize,
    of_payer: usize,
}

const LIMITS: Limits = Limits {
    all: 96 << 20,
    of_payer: 24 << 20,
};

/// The calls that are being prepared.
#[derive(Debug, Default)]
pub(crate) struct Preparations {
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of: HashMap<OrgId, usize>,
}

impl Preparations {
    /// A call of this payer begins to be prepared.
    pub fn begin(self: &Arc<Self>, payer: OrgId) -> Arc<Preparation> {
        Arc::new(Preparation {
            preparations: self.clone(),
            payer,
            bytes: Mutex::default(),
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call that is being prepared. What it took is free again with [`Preparation::end`], or when it is
/// dropped.
#[derive(Debug)]
pub struct Preparation {
    preparations: Arc<Preparations>,
    payer: OrgId,
    bytes: Mutex<usize>,
}

impl Preparation {
    /// Takes memory for `more` bytes.
    ///
    /// # Errors
    /// [`GearError::Crowded`] when other calls, or other calls of this payer, take too much already. A
    /// call that is the only one is never refused.
    pub fn take(&self, more: usize) -> Result<(), GearError> {
        let mut own = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = own.saturating_add(more);
        let mut taken = self.preparations.taken();
        let of_payer = taken.of.get(&self.payer).copied().unwrap_or(0);
        let beyond = |taken: usize, limit: usize| taken > *own && taken.saturating_add(more) > limit;
        if bytes > SMALL && (beyond(of_payer, LIMITS.of_payer) || beyond(taken.all, LIMITS.all)) {
            return Err(GearError::Crowded);
        }
        *own = bytes;
        taken.all = taken.all.saturating_add(more);
        taken.of.insert(self.payer, of_payer.saturating_add(more));
        Ok(())
    }

    /// The call is prepared, and paid for from now on.
    pub fn end(&self) {
        let mut own = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = self.preparations.taken();
        taken.all = taken.all.saturating_sub(*own);
        if let Some(of_payer) = taken.of.get_mut(&self.payer) {
            *of_payer = of_payer.saturating_sub(*own);
            if *of_payer == 0 {
                taken.of.remove(&self.payer);
            }
        }
        *own = 0;
    }
}

#[cfg(test)]
impl Default for Preparation {
    /// Of some payer, alone.
    fn default() -> Self {
        Self {
            preparations: Arc::default(),
            payer: OrgId(1),
            bytes: Mutex::default(),
        }
    }
}

impl Drop for Preparation {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEGABYTE: usize = 1 << 20;

    #[test]
    fn calls_of_one_payer_share_its_memory_and_leave_some_for_others() {
        let all = Arc::new(Preparations::default());
        let calls: Vec<_> = (0..40).map(|_| all.begin(OrgId(1))).collect();
        let taken = calls
            .iter()
            .filter(|call| call.take(4 * MEGABYTE).is_ok())
            .count();
        assert_eq!(taken, 6);
        let other = all.begin(OrgId(2));
        assert!(other.take(20 * MEGABYTE).is_ok());
        calls[0].end();
        assert!(calls[39].take(4 * MEGABYTE).is_ok());
        assert!(matches!(calls[38].take(4 * MEGABYTE), Err(GearError::Crowded)));
        assert!(calls[38].take(SMALL).is_ok(), "little is never refused");
        drop((calls, other));
        let taken = all.taken();
        assert_eq!((taken.all, taken.of.len()), (0, 0));
    }

    #[test]
    fn a_call_that_is_alone_is_never_refused() {
        let all = Arc::new(Preparations::default());
        let call = all.begin(OrgId(1));
        assert!(call.take(200 * MEGABYTE).is_ok());
        assert!(call.take(200 * MEGABYTE).is_ok());
        assert!(matches!(
            all.begin(OrgId(2)).take(MEGABYTE),
            Err(GearError::Crowded)
        ));
    }
}
