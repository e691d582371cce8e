//! What an owner's withdrawal may take.

use super::{TreasuryError, WithdrawalStatus};
use haithe_kernel::{Decimals, TokenUnits, Usdt, WalletAddress};
use haithe_orgs::{Organization, model::ZERO_ADDRESS, ownership::OwnerCall};

/// A withdrawal of at most `amount` that an owner requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WithdrawalRequest {
    to: WalletAddress,
    amount: TokenUnits,
}

impl WithdrawalRequest {
    /// A request that pays `to`, or the organization's owner.
    ///
    /// # Errors
    /// [`TreasuryError::Payee`] for the zero address and the organization's own contract,
    /// [`TreasuryError::Nothing`] for zero.
    pub fn new(
        org: &Organization,
        to: Option<WalletAddress>,
        amount: TokenUnits,
    ) -> Result<Self, TreasuryError> {
        let to = to.unwrap_or(org.owner);
        if to == ZERO_ADDRESS || to == org.address {
            return Err(TreasuryError::Payee);
        }
        if amount == TokenUnits::ZERO {
            return Err(TreasuryError::Nothing);
        }
        Ok(Self { to, amount })
    }

    /// Admits the request beside the organization's `newest` withdrawal and its `available` balance.
    ///
    /// # Errors
    /// [`TreasuryError::Open`] while a withdrawal can still be executed or cancelled,
    /// [`TreasuryError::NotThere`] above the available balance.
    pub fn admit(
        &self,
        newest: Option<&WithdrawalStatus>,
        available: Usdt,
        decimals: Decimals,
    ) -> Result<OwnerCall, TreasuryError> {
        if newest.is_some_and(WithdrawalStatus::is_open) {
            return Err(TreasuryError::Open);
        }
        let available = available.max(Usdt::ZERO);
        // What the contract holds below a nano-USDT cannot be spent and may leave with the rest.
        // An amount beyond the range of money is more than anybody has.
        let is_covered =
            Usdt::from_units(self.amount, decimals).is_ok_and(|(requested, _)| requested <= available);
        if !is_covered {
            return Err(TreasuryError::NotThere { available });
        }
        Ok(OwnerCall::RequestWithdrawal {
            to: self.to,
            amount: self.amount,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::treasury::{ActiveClock, Withdrawal};
    use haithe_kernel::{Failure, OrgId, OrgUid, Timestamp};
    use std::time::Duration;
    use uuid::Uuid;

    const OWNER: WalletAddress = WalletAddress::new([1; 20]);
    const CONTRACT: WalletAddress = WalletAddress::new([9; 20]);
    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn org() -> Organization {
        Organization {
            id: OrgId(1),
            uid: OrgUid::new(Uuid::from_u128(1)),
            address: CONTRACT,
            orchestrator_index: 1,
            name: "acme".into(),
            owner: OWNER,
            created_at: NOW,
            deleted_at: None,
            confirmed: true,
        }
    }

    fn request(units: u128) -> WithdrawalRequest {
        WithdrawalRequest::new(&org(), None, TokenUnits::new(units)).unwrap()
    }

    fn admit(units: u128, available: i64) -> Result<OwnerCall, &'static str> {
        let decimals = Decimals::new(18).unwrap();
        let admitted = request(units).admit(None, Usdt::from_nano(available), decimals);
        admitted.map_err(|error| error.code())
    }

    #[test]
    fn a_request_names_a_payee_and_an_amount() {
        let new = |to, units| WithdrawalRequest::new(&org(), to, TokenUnits::new(units));
        for (to, units, code) in [
            (Some(ZERO_ADDRESS), 1, "invalid_payee"),
            (Some(CONTRACT), 1, "invalid_payee"),
            (None, 0, "invalid_amount"),
        ] {
            assert_eq!(new(to, units).unwrap_err().code(), code);
        }
        assert_eq!(request(1).to, OWNER);
    }

    #[test]
    fn a_request_takes_no_more_than_is_available() {
        assert!(admit(5_000_000_000, 5).is_ok());
        assert!(
            admit(5_999_999_999, 5).is_ok(),
            "below a nano leaves with the rest"
        );
        assert_eq!(admit(6_000_000_000, 5), Err("insufficient_balance"));
        assert_eq!(admit(u128::MAX, i64::MAX), Err("insufficient_balance"));
        assert_eq!(admit(1_000_000_000, -5), Err("insufficient_balance"));
    }

    #[test]
    fn one_withdrawal_is_open_at_a_time() {
        let clock = ActiveClock {
            head: NOW,
            paused_for: Duration::ZERO,
            paused_until: None,
        };
        let open = Withdrawal {
            id: 1,
            tx: [1; 32],
            requested_at: NOW,
            to: OWNER,
            amount: Some(5),
            ready_at: NOW,
            end: None,
            settled: false,
        };
        let open = WithdrawalStatus::at(open, &clock, NOW);
        let decimals = Decimals::new(18).unwrap();
        let refused = request(1).admit(Some(&open), Usdt::from_nano(9), decimals);
        assert_eq!(refused.unwrap_err().code(), "withdrawal_open");
    }
}
