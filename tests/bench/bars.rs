//! The bars that the gateway has to clear, and how it did.

use crate::{Row, mb};
use std::{fmt, time::Duration};

/// What was measured against a bar.
struct Bar {
    name: String,
    figure: f64,
    limit: f64,
    /// Whether more is better.
    at_least: bool,
}

/// Every bar, in the order in which it was measured.
pub struct Bars {
    fsync: f64,
    bars: Vec<Bar>,
}

impl Bars {
    /// With the time of one fsync, which a charge may take beside the gateway's own.
    pub fn new(fsync: Duration) -> Self {
        Self {
            fsync: fsync.as_secs_f64() * 1e6,
            bars: Vec::new(),
        }
    }

    fn most(&mut self, name: impl Into<String>, figure: f64, limit: f64) {
        self.bars.push(Bar {
            name: name.into(),
            figure,
            limit,
            at_least: false,
        });
    }

    fn least(&mut self, name: impl Into<String>, figure: f64, limit: f64) {
        self.bars.push(Bar {
            name: name.into(),
            figure,
            limit,
            at_least: true,
        });
    }

    /// Memory before the first call.
    pub fn idle(&mut self, kib: u64) {
        self.most("memory when idle, MB", mb(kib), 25.0);
    }

    /// The bars of one row.
    pub fn row(&mut self, streamed: bool, callers: usize, row: &Row) {
        let p50 = row.through.p50 - row.direct.p50;
        let p99 = row.through.p99 - row.direct.p99;
        match (streamed, callers) {
            (false, 1) => {
                let fsync = self.fsync;
                self.most("JSON, 1 caller: added p50, µs", p50, 300.0 + fsync);
                self.most("JSON, 1 caller: added p99, µs", p99, 1_000.0 + fsync);
            }
            (false, 32) => {
                self.least(
                    "JSON, 32 callers: charged requests a second",
                    row.through.rate,
                    8_000.0,
                );
                self.most("JSON, 32 callers: CPU a request, µs", row.cpu_micros, 120.0);
            }
            (true, 1) => self.most("stream, 1 caller: first token, added p99, µs", p99, 400.0),
            _ => {}
        }
    }

    /// Streams at once that came whole and in order.
    pub fn streams(&mut self, whole: usize) {
        let name = "streams at once, whole and in order";
        self.least(name, u32::try_from(whole).map_or(f64::NAN, f64::from), 1_000.0);
    }

    /// Memory over the soak.
    pub fn soak(&mut self, kib: &[u64]) {
        let (first, second) = kib.split_at(kib.len() / 2);
        let most = |part: &[u64]| mb(part.iter().copied().max().unwrap_or(0));
        self.most("memory under load, MB", most(kib), 80.0);
        // A tenth more is what allocators breathe.
        let name = "memory in the soak's second half, MB";
        self.most(name, most(second), most(first) * 1.1);
    }
}

impl fmt::Display for Bars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<48} {:>10} {:>12}", "bar", "figure", "limit")?;
        for bar in &self.bars {
            let (sign, met) = if bar.at_least {
                (">=", bar.figure >= bar.limit)
            } else {
                ("<=", bar.figure <= bar.limit)
            };
            let verdict = if met { "met" } else { "MISSED" };
            writeln!(
                f,
                "{:<48} {:>10.1} {sign:>3} {:>8.1}  {verdict}",
                bar.name, bar.figure, bar.limit
            )?;
        }
        Ok(())
    }
}
