//! Use case: an organization accepts other organizations' public projects, each up to a price per call.
//!
//! The payer sets the limit. A call of another organization's project is charged only if the paying
//! organization accepted the project, and only up to the maximum that it accepted.

use crate::{
    audit::Caller,
    error::OrgError,
    organizations::Organizations,
    policy::Action,
    ports::{AcceptedProjectStore, Accepting},
};
use haithe_kernel::{
    Clock, Failure, Kind, Listed, OrgId, Page, PriceSchedule, ProjectUid, Timestamp, Usdt, WalletAddress,
};
use std::sync::Arc;

/// The most projects that one organization accepts.
pub const MOST_ACCEPTED: u64 = 1_000;

/// A public project of another organization that an organization accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedProject {
    /// The project.
    pub project: ProjectUid,
    /// The most that the project and its products may cost per call.
    pub max_price_per_call: Usdt,
    /// The wallet that accepted it.
    pub accepted_by: WalletAddress,
    /// When it was accepted or the maximum last changed.
    pub accepted_at: Timestamp,
    /// The project as it is offered; `None` when it was deleted or is not public at present.
    pub offer: Option<ProjectOffer>,
}

/// What other organizations see of a public project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectOffer {
    /// Its name.
    pub name: String,
    /// Its own price per call, without its products.
    pub price_per_call: PriceSchedule,
}

/// What a call of another organization's project costs per call, beside the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallPrices {
    /// The project's price in force.
    pub project: Usdt,
    /// The prices in force of the products that the call uses, together.
    pub products: Usdt,
}

impl CallPrices {
    /// The project and its products together.
    pub fn total(self) -> Usdt {
        self.project.saturating_add(self.products)
    }
}

/// Why another organization's project is not called. Nothing was held or charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayerRefusal {
    /// The paying organization did not accept the project.
    #[error(
        "the paying organization has not accepted the project {project}, which costs {} USDT per call beside \
         the model ({} for the project, {} for its products); its owner or an admin accepts it with PUT \
         /v1/orgs/{{id}}/accepted-projects/{project} and a `max_price_per_call_usdt`",
        .prices.total(), .prices.project, .prices.products
    )]
    NotAccepted {
        /// The project.
        project: ProjectUid,
        /// What the call would cost beside the model.
        prices: CallPrices,
    },
    /// The project and its products cost more than the paying organization accepted.
    #[error(
        "the project {project} costs {} USDT per call beside the model ({} for the project, {} for its \
         products), more than the {maximum} USDT that the paying organization accepted; its owner or an admin \
         can accept a higher maximum with PUT /v1/orgs/{{id}}/accepted-projects/{project}",
        .prices.total(), .prices.project, .prices.products
    )]
    AboveMaximum {
        /// The project.
        project: ProjectUid,
        /// What the call would cost beside the model.
        prices: CallPrices,
        /// What the paying organization accepted.
        maximum: Usdt,
    },
}

/// Whether a payer that accepted another organization's project up to `accepted` pays these prices.
///
/// # Errors
/// [`PayerRefusal`] when the project was not accepted or costs more than the maximum.
pub fn payer_accepts(
    project: ProjectUid,
    accepted: Option<Usdt>,
    prices: CallPrices,
) -> Result<(), PayerRefusal> {
    match accepted {
        None => Err(PayerRefusal::NotAccepted { project, prices }),
        Some(maximum) if prices.total() > maximum => Err(PayerRefusal::AboveMaximum {
            project,
            prices,
            maximum,
        }),
        Some(_) => Ok(()),
    }
}

impl Failure for PayerRefusal {
    fn kind(&self) -> Kind {
        match self {
            Self::NotAccepted { .. } => Kind::Forbidden,
            Self::AboveMaximum { .. } => Kind::PaymentRequired,
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::NotAccepted { .. } => "project_not_accepted",
            Self::AboveMaximum { .. } => "price_above_maximum",
        }
    }
    fn details(&self) -> Vec<(&'static str, String)> {
        let (Self::NotAccepted { project, prices } | Self::AboveMaximum { project, prices, .. }) = self;
        let mut details = vec![
            ("project_uid", project.to_string()),
            ("price_per_call_usdt", prices.total().to_string()),
            ("project_price_usdt", prices.project.to_string()),
            ("products_price_usdt", prices.products.to_string()),
        ];
        if let Self::AboveMaximum { maximum, .. } = self {
            details.push(("max_price_per_call_usdt", maximum.to_string()));
        }
        details
    }
}

/// The projects that organizations accept.
pub struct AcceptedProjects {
    organizations: Arc<Organizations>,
    store: Arc<dyn AcceptedProjectStore>,
    clock: Arc<dyn Clock>,
}

impl AcceptedProjects {
    /// Composes the use case.
    pub fn new(
        organizations: Arc<Organizations>,
        store: Arc<dyn AcceptedProjectStore>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            organizations,
            store,
            clock,
        }
    }

    /// Accepts a public project of another organization, or changes the maximum.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table; [`OrgError::NotFound`] for a project that does not exist or is not
    /// public, [`OrgError::OwnProject`], [`OrgError::TooManyAccepted`].
    pub async fn accept(
        &self,
        caller: impl Into<Caller>,
        org: OrgId,
        project: ProjectUid,
        maximum: Usdt,
    ) -> Result<AcceptedProject, OrgError> {
        let caller = caller.into();
        self.organizations
            .authorize(caller.address, org, Action::AcceptProjects)
            .await?;
        if maximum.is_negative() {
            return Err(OrgError::Setting("max_price_per_call_usdt must not be negative"));
        }
        let act = caller.acts(self.clock.now());
        match self.store.put(org, project, maximum, act).await? {
            Accepting::Accepted(accepted) => Ok(accepted),
            Accepting::NotPublic => Err(OrgError::NotFound("project")),
            Accepting::Own => Err(OrgError::OwnProject),
            Accepting::Full => Err(OrgError::TooManyAccepted),
        }
    }

    /// The projects that an organization accepts, newest first.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table.
    pub async fn of_org(
        &self,
        caller: WalletAddress,
        org: OrgId,
        page: Page,
    ) -> Result<Listed<AcceptedProject>, OrgError> {
        self.organizations
            .authorize(caller, org, Action::AcceptProjects)
            .await?;
        Ok(self.store.of_org(org, page).await?)
    }

    /// Withdraws the acceptance; calls that begin afterwards are refused.
    ///
    /// # Errors
    /// [`OrgError`] by the rule table; [`OrgError::NotFound`] when the project was not accepted.
    pub async fn withdraw(
        &self,
        caller: impl Into<Caller>,
        org: OrgId,
        project: ProjectUid,
    ) -> Result<(), OrgError> {
        let caller = caller.into();
        self.organizations
            .authorize(caller.address, org, Action::AcceptProjects)
            .await?;
        let act = caller.acts(self.clock.now());
        if self.store.remove(org, project, act).await? {
            Ok(())
        } else {
            Err(OrgError::NotFound("accepted project"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> ProjectUid {
        "0190a0b0c0d0e0f00102030405060708".parse().unwrap()
    }

    fn prices(project: i64, products: i64) -> CallPrices {
        CallPrices {
            project: Usdt::from_nano(project),
            products: Usdt::from_nano(products),
        }
    }

    #[test]
    fn the_maximum_covers_the_project_and_its_products_together() {
        let maximum = Some(Usdt::from_nano(100));
        for (of_project, of_products, accepted) in
            [(0, 0, true), (60, 40, true), (60, 41, false), (101, 0, false)]
        {
            let answer = payer_accepts(project(), maximum, prices(of_project, of_products));
            assert_eq!(answer.is_ok(), accepted, "{of_project} + {of_products}");
        }
    }

    #[test]
    fn a_project_that_was_not_accepted_is_refused_even_when_it_is_free() {
        let refused = payer_accepts(project(), None, prices(0, 0)).unwrap_err();
        assert_eq!(
            (refused.kind(), refused.code()),
            (Kind::Forbidden, "project_not_accepted")
        );
    }

    #[test]
    fn prices_beyond_the_range_are_above_every_maximum_but_the_largest() {
        let beyond = prices(i64::MAX, i64::MAX);
        assert!(payer_accepts(project(), Some(Usdt::whole(1)), beyond).is_err());
    }

    #[test]
    fn a_refusal_names_both_prices_in_its_text_and_in_its_fields() {
        let above = payer_accepts(project(), Some(Usdt::whole(1)), prices(499_000_000_000, 0)).unwrap_err();
        assert_eq!(
            (above.kind(), above.code()),
            (Kind::PaymentRequired, "price_above_maximum")
        );
        let text = above.to_string();
        assert!(text.contains("499 USDT") && text.contains("the 1 USDT"), "{text}");
        let details = above.details();
        assert!(
            details.contains(&("price_per_call_usdt", "499".into())),
            "{details:?}"
        );
        assert!(
            details.contains(&("max_price_per_call_usdt", "1".into())),
            "{details:?}"
        );
    }
}
