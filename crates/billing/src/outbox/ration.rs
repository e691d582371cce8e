//! How often the server pays for a wallet's transactions.

use super::{Rationed, TxRation};
use haithe_kernel::Timestamp;

/// What a store has of earlier intents of the ration's purpose. Each time is when an intent was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RationHistory {
    /// The wallet's newest intent that has not failed.
    pub last: Option<Timestamp>,
    /// The intent of the wallet that uses up its budget: the [`per_wallet`](TxRation::per_wallet)-th newest,
    /// failed ones included. `None` when there are fewer.
    pub of_wallet: Option<Timestamp>,
    /// The same of the client network, with [`per_network`](TxRation::per_network).
    pub of_network: Option<Timestamp>,
    /// The same of all wallets, with [`global`](TxRation::global).
    pub of_all: Option<Timestamp>,
}

impl TxRation {
    /// Why the next intent at `at` exceeds the ration: [`Rationed::TooSoon`], or [`Rationed::BudgetSpent`]
    /// until all budgets have room again. `None` when it is within the ration.
    pub fn refusal(&self, at: Timestamp, history: &RationHistory) -> Option<Rationed> {
        if let Some(last) = history.last
            && last > at.minus(self.every)
        {
            return Some(Rationed::TooSoon(last));
        }
        let of_network = self.network.map(|_| (self.per_network, history.of_network));
        let budgets = [
            Some((self.per_wallet, history.of_wallet)),
            Some((self.global, history.of_all)),
            of_network,
        ];
        let spent = budgets.into_iter().flatten();
        let spent = spent.filter_map(|(limit, counted)| self.spent_until(at, limit, counted));
        spent.max().map(Rationed::BudgetSpent)
    }

    /// When a budget of `limit` intents has room again; `None` if it has room at `at`.
    fn spent_until(&self, at: Timestamp, limit: u64, counted: Option<Timestamp>) -> Option<Timestamp> {
        if limit == 0 {
            return Some(at.plus(self.window));
        }
        let counted = counted.filter(|counted| *counted > at.minus(self.window))?;
        Some(counted.plus(self.window))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
    const HOUR: Duration = Duration::from_secs(3_600);
    const DAY: Duration = Duration::from_secs(86_400);

    fn ration() -> TxRation {
        TxRation {
            every: HOUR,
            window: DAY,
            per_wallet: 3,
            per_network: 10,
            network: "192.0.2.1".parse().ok(),
            global: 100,
        }
    }

    fn ago(span: Duration) -> Option<Timestamp> {
        Some(NOW.minus(span))
    }

    #[test]
    fn a_wallet_waits_between_two_intents() {
        let last = |span| RationHistory {
            last: ago(span),
            ..RationHistory::default()
        };
        let minute = Duration::from_secs(60);
        let too_soon = Rationed::TooSoon(NOW.minus(minute));
        assert_eq!(ration().refusal(NOW, &last(minute)), Some(too_soon));
        assert_eq!(ration().refusal(NOW, &last(HOUR)), None);
        assert_eq!(ration().refusal(NOW, &RationHistory::default()), None);
    }

    #[test]
    fn budgets_are_spent_until_all_have_room() {
        let history = RationHistory {
            of_wallet: ago(2 * HOUR),
            of_network: ago(HOUR),
            of_all: ago(3 * HOUR),
            ..RationHistory::default()
        };
        let until = Rationed::BudgetSpent(NOW.minus(HOUR).plus(DAY));
        assert_eq!(ration().refusal(NOW, &history), Some(until));
        let unknown = TxRation {
            network: None,
            ..ration()
        };
        let until = Rationed::BudgetSpent(NOW.minus(2 * HOUR).plus(DAY));
        assert_eq!(
            unknown.refusal(NOW, &history),
            Some(until),
            "an unknown network has no budget"
        );
        let old = RationHistory {
            of_wallet: ago(DAY),
            ..RationHistory::default()
        };
        assert_eq!(ration().refusal(NOW, &old), None, "it has left the window");
    }

    #[test]
    fn a_budget_of_zero_admits_nothing() {
        let none = TxRation {
            per_network: 0,
            ..ration()
        };
        let spent = Some(Rationed::BudgetSpent(NOW.plus(DAY)));
        assert_eq!(none.refusal(NOW, &RationHistory::default()), spent);
    }
}
