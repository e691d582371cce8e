//! Places among the calls that run at once, which belong to the calls' work.

use std::{any::Any, fmt, sync::Arc};

/// A place among the calls that run at once. The work of a call holds a clone of it until nothing is
/// left to do, its charge included; it is given back when the last clone is dropped. A caller who
/// leaves does not end the work, and so does not free the place.
#[derive(Clone, Default)]
pub struct CallPermit(Option<Arc<dyn Any + Send + Sync>>);

impl CallPermit {
    /// Keeps `place` until the work is over, then drops it.
    pub fn new(place: impl Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(place)))
    }
}

impl fmt::Debug for CallPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CallPermit").field(&self.0.is_some()).finish()
    }
}
