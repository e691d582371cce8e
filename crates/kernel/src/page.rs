//! Pages of a list that grows.

/// One page: at most `limit` rows after skipping `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    limit: u32,
    offset: u32,
}

/// Why a page cannot be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`limit` must be 1 to 200 and `offset` at most 1000000")]
pub struct PageError;

impl Page {
    /// The page that lists give when nothing is asked for.
    pub const FIRST: Self = Self {
        limit: 200,
        offset: 0,
    };

    /// # Errors
    /// [`PageError`] unless 1 ≤ limit ≤ 200 and offset ≤ 1,000,000.
    pub const fn new(limit: u32, offset: u32) -> Result<Self, PageError> {
        if limit == 0 || limit > 200 || offset > 1_000_000 {
            return Err(PageError);
        }
        Ok(Self { limit, offset })
    }

    /// Rows at most.
    pub const fn limit(self) -> u32 {
        self.limit
    }

    /// Rows skipped.
    pub const fn offset(self) -> u32 {
        self.offset
    }
}
