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

/// One page of a list, and how long the whole list is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// The rows of the page.
    pub items: Vec<T>,
    /// Rows in all, those on other pages included.
    pub total: u64,
}

impl<T> Listed<T> {
    /// The same page of something else.
    pub fn map<U>(self, with: impl FnMut(T) -> U) -> Listed<U> {
        Listed {
            items: self.items.into_iter().map(with).collect(),
            total: self.total,
        }
    }

    /// One page of a list that is in memory as a whole.
    pub fn of_all(all: impl IntoIterator<Item = T>, page: Page) -> Self {
        let mut total = 0;
        let (first, limit) = (u64::from(page.offset), u64::from(page.limit));
        let mut items = Vec::new();
        for item in all {
            if (first..first.saturating_add(limit)).contains(&total) {
                items.push(item);
            }
            total += 1;
        }
        Self { items, total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_a_whole_list_has_its_rows_and_the_length_of_all() {
        let page = |limit, offset| Listed::of_all(0..5, Page::new(limit, offset).unwrap());
        assert_eq!(page(2, 0).items, [0, 1]);
        assert_eq!(page(2, 4).items, [4]);
        assert_eq!(page(2, 5).items, [0; 0]);
        assert_eq!(page(200, 0).total, 5);
        assert_eq!(page(1, 9).total, 5);
    }

    #[test]
    fn a_page_is_bounded() {
        assert_eq!(Page::new(0, 0), Err(PageError));
        assert_eq!(Page::new(201, 0), Err(PageError));
        assert_eq!(Page::new(1, 1_000_001), Err(PageError));
        assert!(Page::new(200, 1_000_000).is_ok());
    }
}
