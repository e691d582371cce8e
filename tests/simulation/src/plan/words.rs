//! Plans in plain words.

use super::{Action, Call, Mode, Setup, Step};
use crate::parties;
use haithe_kernel::Usdt;
use std::fmt;

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = match self.mode {
            Mode::Memory => "one process with holds in memory".to_owned(),
            Mode::Shared => format!("{} instances with holds in the store", self.instances),
        };
        write!(
            f,
            "{kept}; {} organizations; a token with {} decimals; deposits count after {} blocks and batches after {}; \
             a block every {} s; at most {} calls in a batch and {} open batches; credits below {} USDT wait",
            self.orgs,
            self.decimals,
            self.confirmations,
            self.finality,
            self.block_seconds,
            self.max_items,
            self.max_open,
            usdt(self.min_credit),
        )
    }
}

fn usdt(nano: i64) -> Usdt {
    Usdt::from_nano(nano)
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5} s  {}", self.at, self.action)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(call) => call.fmt(f),
            Self::Deposit { org, nano, dust: 0 } => {
                write!(f, "organization {org} deposits {} USDT", usdt(*nano))
            }
            Self::Deposit { org, nano, dust } => {
                write!(
                    f,
                    "organization {org} deposits {} USDT and {dust} base units below a nano",
                    usdt(*nano)
                )
            }
            Self::RequestWithdrawal { org, nano } => {
                write!(
                    f,
                    "organization {org} requests a withdrawal of {} USDT",
                    usdt(*nano)
                )
            }
            Self::ExecuteWithdrawal { org } => write!(f, "organization {org} executes its withdrawal"),
            Self::CancelWithdrawal { org } => write!(f, "organization {org} cancels its withdrawal"),
            Self::SetCap {
                org,
                nano: Some(nano),
            } => {
                write!(f, "organization {org} sets a daily cap of {} USDT", usdt(*nano))
            }
            Self::SetCap { org, nano: None } => write!(f, "organization {org} removes its daily cap"),
            Self::CreatorWithdraws { creator } => write!(f, "creator {creator} withdraws"),
            Self::PlatformWithdraws => write!(f, "the platform withdraws"),
            Self::Pause { seconds } => write!(f, "the contracts are paused for {seconds} s"),
            Self::BlockPayee { org, seconds } => {
                write!(f, "transfers to organization {org} fail for {seconds} s")
            }
            Self::Crash {
                instance,
                after,
                down,
            } => {
                write!(
                    f,
                    "instance {instance} crashes after {after} more of its steps and is down for {down} s"
                )
            }
            Self::Stall { instance, seconds } => write!(f, "instance {instance} is stopped for {seconds} s"),
            Self::StoreFails {
                instance,
                requests,
                applied: true,
            } => {
                write!(
                    f,
                    "the answers to the next {requests} store requests of instance {instance} are lost"
                )
            }
            Self::StoreFails {
                instance,
                requests,
                applied: false,
            } => {
                write!(
                    f,
                    "the next {requests} store requests of instance {instance} fail"
                )
            }
            Self::NodeAway { seconds } => write!(f, "the node does not respond for {seconds} s"),
            Self::Reorg { depth, loses } => {
                write!(
                    f,
                    "a reorganization drops {depth} blocks{}",
                    if *loses { " and loses transactions" } else { "" }
                )
            }
            Self::Stuck { seconds } => write!(f, "transactions of the server are not mined for {seconds} s"),
            Self::RepeatEvents { seconds } => write!(f, "the node returns every event twice for {seconds} s"),
            Self::RefuseBatches { calls, seconds } => {
                write!(
                    f,
                    "the contract refuses batches with more than {calls} calls for {seconds} s"
                )
            }
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "call {}: organization {} asks instance {} to hold {} to {} USDT",
            self.number,
            self.org,
            self.instance,
            usdt(self.least),
            usdt(self.most)
        )?;
        if let Some(budget) = self.budget {
            write!(f, " within a budget of {} USDT", usdt(budget))?;
        }
        write!(f, "; the provider takes {} s and costs", self.provider)?;
        for (payee, nano) in &self.lines {
            write!(f, " {} USDT for {},", usdt(*nano), parties::name(*payee))?;
        }
        if let Some(steps) = self.leaves_after {
            write!(f, " the client leaves after {steps} steps,")?;
        }
        if self.repeats {
            write!(f, " the capture is sent again,")?;
        }
        Ok(())
    }
}
