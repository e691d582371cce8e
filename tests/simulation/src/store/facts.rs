//! What the chain says about an organization's money beside its balances.

use super::Store;
use crate::parties::ORCHESTRATOR;
use haithe_billing::{
    batch::LineFault,
    capture::Payee,
    chain::SeenEnd,
    ledger::{ChainFigures, InTransit, OrgFacts, OrgMoney, TokenScale, suspends},
    receipt::ReceiptContext,
    usage::Day,
};
use haithe_kernel::{OrgId, Timestamp};

impl Store {
    /// The scale of the payment token.
    pub fn scale(&self) -> TokenScale {
        TokenScale::of(self.decimals())
    }

    /// The facts of an organization at the newest indexed block.
    pub fn facts(&self, org: OrgId) -> OrgFacts {
        let day = Day::of(self.chain_time().unwrap_or(Timestamp::from_seconds(0)));
        let row = &self.orgs[&org.0];
        let lines = self.batches.values().flat_map(|row| {
            let lines = (0u32..).zip(&row.batch.lines);
            lines
                .filter(|(_, line)| line.org == org)
                .map(move |(number, line)| (row, number, line))
        });
        let on_day = |at: Timestamp| at >= day.start();
        let settled = lines.clone().filter(|(row, number, _)| {
            row.settled.is_some_and(|(_, at)| on_day(at)) && !row.skips.contains_key(number)
        });
        let settled_on_day = settled
            .flat_map(|(_, _, line)| &line.credits)
            .map(|credit| i128::from(credit.amount.nano()))
            .sum();
        let counted = lines.filter(|(batch, _, _)| batch.is_final && batch.batch.seq >= row.skips_from);
        let mut faults: Vec<Option<LineFault>> = counted
            .map(|(batch, number, _)| {
                batch
                    .skips
                    .get(&number)
                    .map(|(reason, blamed)| LineFault::of(*reason, *blamed))
            })
            .collect();
        faults.reverse();
        let figures = ChainFigures {
            dust: i128::from(row.dust),
            daily_cap: row.cap,
            day,
            settled_on_day,
            suspended: suspends(faults),
            halted: false,
            in_transit: self.in_transit(org),
        };
        OrgFacts::new(figures, self.scale())
    }

    fn in_transit(&self, org: OrgId) -> InTransit {
        let mut in_transit = InTransit::default();
        for (deposit, confirmed) in self.deposits.values() {
            if let (true, false, Some(units)) = (deposit.org == org, *confirmed, deposit.units) {
                in_transit.add_inward(units);
            }
        }
        for request in self
            .requests
            .iter()
            .filter(|request| request.org == org && request.booked.is_none())
        {
            if let Some((SeenEnd::Executed(Some(units)), _)) = request.end {
                in_transit.add_outward(units);
            }
        }
        let is_own = |payee: Payee| payee == Payee::Organization(org);
        for row in self
            .batches
            .values()
            .filter(|row| row.settled.is_some() && !row.is_final)
        {
            for (number, line) in (0u32..).zip(&row.batch.lines) {
                if row.skips.contains_key(&number) {
                    continue;
                }
                for credit in &line.credits {
                    if is_own(credit.payee) && !credit.escrow {
                        in_transit.add_inward(credit.units.get());
                    } else if line.org == org {
                        in_transit.add_outward(credit.units.get());
                    }
                }
            }
            if !row.payouts_skipped {
                row.batch
                    .payouts
                    .iter()
                    .filter(|payout| is_own(payout.payee))
                    .for_each(|payout| in_transit.add_inward(payout.units.get()));
            }
        }
        in_transit
    }

    /// What requests that have not ended freeze, in nano-USDT.
    pub fn frozen(&self, org: OrgId) -> i64 {
        let open = self
            .requests
            .iter()
            .filter(|request| request.org == org && request.booked.is_none());
        open.map(|request| request.frozen.nano()).sum()
    }

    /// An organization as the ledger loads it.
    pub fn money(&self, org: OrgId) -> OrgMoney {
        let created = &self.orgs[&org.0].created;
        let receipt = ReceiptContext {
            chain_id: 31_337,
            orchestrator: ORCHESTRATOR,
            org_uid: created.uid,
            org_address: created.address,
        };
        let spent = i128::from(self.charged(org).nano());
        OrgMoney::new(org, &self.books, spent, self.facts(org), receipt)
    }

    /// The numbers of all organizations.
    pub fn org_ids(&self) -> Vec<OrgId> {
        self.orgs.keys().map(|org| OrgId(*org)).collect()
    }
}
