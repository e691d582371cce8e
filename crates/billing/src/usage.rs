//! Use case: what was used, by day, project, key, model and product.
//!
//! The figures come from the usage records that captures write, rolled up by day (UTC), so that they
//! sum to exactly what the ledger took.

use crate::{capture::TokenUsage, ports::UsageStore};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{
    Failure, Kind, Listed, ModelId, OrgId, Page, ProductId, ProjectId, StoreError, Timestamp, Usdt,
    WalletAddress,
};
use haithe_orgs::{Action, OrgError, Organizations, Projects};
use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};
use time::{Date, OffsetDateTime, macros::format_description};

/// Rows at most where all are asked for at once.
pub const MOST_ROWS: u32 = 100_000;

/// A day in UTC, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i64);

/// Not a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a day as YYYY-MM-DD")]
pub struct DayError;

const SECONDS_PER_DAY: i64 = 86_400;

impl Day {
    /// The day of a point in time.
    pub const fn of(at: Timestamp) -> Self {
        Self(at.seconds().div_euclid(SECONDS_PER_DAY))
    }

    /// Its first moment.
    pub const fn start(self) -> Timestamp {
        Timestamp::from_seconds(self.0.saturating_mul(SECONDS_PER_DAY))
    }
}

impl FromStr for Day {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Self, DayError> {
        let form = format_description!("[year]-[month]-[day]");
        let date = Date::parse(text, &form).map_err(|_| DayError)?;
        let seconds = date.midnight().assume_utc().unix_timestamp();
        Ok(Self(seconds.div_euclid(SECONDS_PER_DAY)))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.saturating_mul(SECONDS_PER_DAY);
        let date = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = date.date().to_calendar_date();
        write!(f, "{year:04}-{:02}-{day:02}", u8::from(month))
    }
}

/// What figures are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Dimension {
    Day,
    Project,
    ApiKey,
    Model,
    /// Figures are then about charges for products: no tokens.
    Product,
}

/// What figures are told apart by, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dimensions(BTreeSet<Dimension>);

/// Not a list of dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be `total`, or a list of day, project, key, model and product with commas between")]
pub struct DimensionsError;

impl Dimensions {
    /// One figure a day.
    pub fn daily() -> Self {
        Self([Dimension::Day].into())
    }

    /// Whether this is one of them.
    pub fn contains(&self, dimension: Dimension) -> bool {
        self.0.contains(&dimension)
    }
}

impl FromStr for Dimensions {
    type Err = DimensionsError;

    fn from_str(text: &str) -> Result<Self, DimensionsError> {
        if text == "total" {
            return Ok(Self::default());
        }
        let dimension = |word: &str| match word {
            "day" => Ok(Dimension::Day),
            "project" => Ok(Dimension::Project),
            "key" => Ok(Dimension::ApiKey),
            "model" => Ok(Dimension::Model),
            "product" => Ok(Dimension::Product),
            _ => Err(DimensionsError),
        };
        text.split(',').map(dimension).collect::<Result<_, _>>().map(Self)
    }
}

/// Which figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageQuery {
    /// Told apart by these.
    pub by: Dimensions,
    /// From this day on.
    pub from: Option<Day>,
    /// Up to and with this day.
    pub until: Option<Day>,
    /// Of this project alone.
    pub project: Option<ProjectId>,
    /// Of calls with this key alone.
    pub api_key: Option<ApiKeyId>,
    /// Of calls of this model alone.
    pub model: Option<ModelId>,
    /// About charges for this product alone, as with [`Dimension::Product`].
    pub product: Option<ProductId>,
}

impl UsageQuery {
    /// Whether the figures are about charges for products instead of whole calls.
    pub fn is_of_products(&self) -> bool {
        self.product.is_some() || self.by.contains(Dimension::Product)
    }
}

/// A thing by its number and, where it still has one, its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named<T> {
    /// The number.
    pub id: T,
    /// The name today.
    pub name: Option<String>,
}

/// One figure. A dimension that was not asked for is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// The day.
    pub day: Option<Day>,
    /// The project.
    pub project: Option<Named<ProjectId>>,
    /// The key; the inner `None` is a session.
    pub api_key: Option<Option<Named<ApiKeyId>>>,
    /// The model, by the name it had.
    pub model: Option<Named<ModelId>>,
    /// The product.
    pub product: Option<Named<ProductId>>,
    /// Calls.
    pub calls: u64,
    /// Their tokens; `None` where figures are about products.
    pub tokens: Option<TokenUsage>,
    /// What was charged.
    pub charged: Usdt,
}

/// Exact sums behind a figure, which may be beyond the range of what they count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageTotals {
    /// What was charged, in nano-USDT.
    pub charged: i128,
    /// Input tokens.
    pub input: i128,
    /// Of those, cached ones.
    pub cached: i128,
    /// Output tokens.
    pub output: i128,
    /// Of those, reasoning tokens.
    pub reasoning: i128,
}

impl UsageTotals {
    /// What was charged, capped at the largest amount.
    pub fn charged(&self) -> Usdt {
        Usdt::from_nano(i64::try_from(self.charged).unwrap_or(i64::MAX))
    }

    /// The tokens, each capped at the largest number.
    pub fn tokens(&self) -> TokenUsage {
        let capped = |tokens| u64::try_from(tokens).unwrap_or(u64::MAX);
        TokenUsage {
            input: capped(self.input),
            cached: capped(self.cached),
            output: capped(self.output),
            reasoning: capped(self.reasoning),
        }
    }
}

/// What is wrong with a question about usage.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// Nothing lies between.
    #[error("`from` is after `until`")]
    Range,
    /// Everything at once would be too much.
    #[error("there are more than {MOST_ROWS} rows; choose fewer days or dimensions, or read page by page")]
    TooMany,
    /// The rule table, or the directory.
    #[error(transparent)]
    Org(#[from] OrgError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for UsageError {
    fn kind(&self) -> Kind {
        match self {
            Self::Range | Self::TooMany => Kind::Invalid,
            Self::Org(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Range => "invalid_range",
            Self::TooMany => "too_many_rows",
            Self::Org(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Range | Self::TooMany => None,
            Self::Org(error) => error.retry_after(),
            Self::Store(error) => error.retry_after(),
        }
    }
}

/// Usage, for whoever may read the money of the organization or the project.
pub struct Usage {
    organizations: Arc<Organizations>,
    projects: Arc<Projects>,
    store: Arc<dyn UsageStore>,
}

impl Usage {
    /// Composes the use case.
    pub fn new(
        organizations: Arc<Organizations>,
        projects: Arc<Projects>,
        store: Arc<dyn UsageStore>,
    ) -> Self {
        Self {
            organizations,
            projects,
            store,
        }
    }

    /// What an organization paid for: one page, or everything up to [`MOST_ROWS`].
    ///
    /// # Errors
    /// [`UsageError::Range`], and the rule table's.
    pub async fn of_org(
        &self,
        caller: WalletAddress,
        org: OrgId,
        query: UsageQuery,
        page: Option<Page>,
    ) -> Result<Listed<UsageRow>, UsageError> {
        self.organizations
            .authorize(caller, org, Action::ReadOrgMoney)
            .await?;
        self.figures(org, query, page).await
    }

    /// What a project's own organization paid for in it. What others paid for in it is theirs to read.
    ///
    /// # Errors
    /// [`UsageError::Range`], and the rule table's.
    pub async fn of_project(
        &self,
        caller: WalletAddress,
        project: ProjectId,
        query: UsageQuery,
        page: Option<Page>,
    ) -> Result<Listed<UsageRow>, UsageError> {
        let access = self
            .projects
            .authorize(caller, project, Action::ReadProjectMoney)
            .await?;
        let query = UsageQuery {
            project: Some(project),
            ..query
        };
        self.figures(access.org.id, query, page).await
    }

    async fn figures(
        &self,
        org: OrgId,
        query: UsageQuery,
        page: Option<Page>,
    ) -> Result<Listed<UsageRow>, UsageError> {
        if let (Some(from), Some(until)) = (query.from, query.until)
            && from > until
        {
            return Err(UsageError::Range);
        }
        let figures = self.store.figures(org, query, page).await?;
        if page.is_none() && figures.total > u64::from(MOST_ROWS) {
            return Err(UsageError::TooMany);
        }
        Ok(figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_day_is_a_date_and_nothing_else() {
        assert_eq!("1970-01-01".parse(), Ok(Day(0)));
        assert_eq!("2026-01-15".parse(), Ok(Day(20_468)));
        assert_eq!("1969-12-31".parse(), Ok(Day(-1)));
        for text in [
            "",
            "2026-02-30",
            "2026-1-5",
            "2026-01-15T00:00:00Z",
            " 2026-01-15",
            "yesterday",
        ] {
            assert_eq!(text.parse::<Day>(), Err(DayError), "{text}");
        }
        assert_eq!(Day(i64::MAX).to_string(), "1970-01-01", "no day of ours");
    }

    #[test]
    fn sums_beyond_their_range_are_capped() {
        let totals = UsageTotals {
            charged: i128::from(i64::MAX) + 1,
            input: i128::from(u64::MAX) + 1,
            cached: 7,
            ..UsageTotals::default()
        };
        assert_eq!(totals.charged(), Usdt::MAX);
        let tokens = totals.tokens();
        assert_eq!((tokens.input, tokens.cached, tokens.output), (u64::MAX, 7, 0));
    }

    #[test]
    fn dimensions_are_words_with_commas() {
        let by = |text: &str| text.parse::<Dimensions>();
        assert_eq!(by("total"), Ok(Dimensions::default()));
        assert_eq!(by("day"), Ok(Dimensions::daily()));
        assert_eq!(by("model,day,model"), by("day,model"));
        assert!(by("key,product").unwrap().contains(Dimension::Product));
        for text in ["", "day,", "total,day", "Day", "day, model", "wallet"] {
            assert_eq!(by(text), Err(DimensionsError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_day_reads_back_from_its_text(day in -700_000i64..2_900_000) {
            prop_assert_eq!(Day(day).to_string().parse(), Ok(Day(day)));
            prop_assert_eq!(Day::of(Day(day).start()), Day(day));
        }

        #[test]
        fn no_text_breaks_the_parsers(text in ".{0,20}") {
            let _ = (text.parse::<Day>(), text.parse::<Dimensions>());
        }
    }
}
