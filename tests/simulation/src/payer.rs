//! Calls: a hold, a provider, and a capture or a release.

use crate::{
    parties,
    plan::Call,
    ports::{Port, ledger::LedgerPort},
    world::{Handle, Spawn},
};
use haithe_billing::{
    ExpenditureScope,
    capture::{CallOutcome, Capture, LineItem, PriceLine, TokenUsage, UsageRecord},
    gate::SettlementGate,
    hold::{BudgetClaim, BudgetSubject, HoldRequest},
    holds::{Hold, Holds},
    ports::Ledger,
};
use haithe_identity::api_key::ApiKeyId;
use haithe_kernel::{CallId, ModelId, OrgId, ProjectId, Timestamp, Usdt};
use std::sync::Arc;
use uuid::Uuid;

/// How often a capture is sent before its hold is given back.
const CAPTURES: u32 = 12;

/// The client sends a request.
pub fn request(handle: &Handle, call: Call) {
    let mut world = handle.lock();
    let instance = &world.instances[call.instance];
    if !instance.is_up {
        world.log(format_args!(
            "instance {} is down: call {} is not served",
            call.instance, call.number
        ));
        return;
    }
    let (start, gate) = (instance.start, Arc::clone(&instance.gate));
    let port = Port {
        world: handle.clone(),
        instance: call.instance,
        start,
    };
    world.spawned.push(Spawn {
        name: "request",
        instance: Some((call.instance, start)),
        polls: call.leaves_after,
        future: Box::pin(serve(port, gate, call)),
    });
}

/// The identifier of a call.
pub fn call_id(number: u64) -> CallId {
    CallId(Uuid::from_u128(u128::from(number) + 1))
}

fn key(call: &Call) -> ApiKeyId {
    ApiKeyId(call.org)
}

fn hold_request(call: &Call, now: Timestamp) -> HoldRequest {
    let budget = call.budget.map(|nano| BudgetClaim {
        subject: BudgetSubject::ApiKey(key(call)),
        limit: Usdt::from_nano(nano),
        since: haithe_billing::usage::Day::of(now).start(),
    });
    HoldRequest {
        call: call_id(call.number),
        org: OrgId(call.org),
        most: Usdt::from_nano(call.most),
        least: Usdt::from_nano(call.least),
        budgets: budget.into_iter().collect(),
        expenditure: ExpenditureScope::Organization,
    }
}

async fn serve(port: Port, gate: Arc<SettlementGate>, call: Call) {
    let ledger: Arc<dyn Ledger> = Arc::new(LedgerPort(port.clone()));
    let holds = Holds::new(Arc::clone(&ledger), gate);
    let now = port.world.lock().now();
    let hold = match holds.hold(hold_request(&call, now)).await {
        Ok(hold) => hold,
        Err(refusal) => {
            port.world
                .lock()
                .log(format_args!("call {} is refused: {refusal}", call.number));
            return;
        }
    };
    port.world
        .lock()
        .log(format_args!("call {} holds {} USDT", call.number, hold.amount()));
    port.world.seconds(call.provider).await;
    // A request that is dropped does not cancel its capture.
    let instance = Some((port.instance, port.start));
    let handle = port.world.clone();
    let future = Box::pin(capture(port, ledger, hold, call));
    handle.lock().spawned.push(Spawn {
        name: "capture",
        instance,
        polls: None,
        future,
    });
}

async fn capture(port: Port, ledger: Arc<dyn Ledger>, mut hold: Hold, call: Call) {
    let usage = usage(&call, port.world.lock().now());
    let lines: Vec<PriceLine> = call
        .lines
        .iter()
        .map(|(payee, nano)| PriceLine {
            payee: *payee,
            item: LineItem::ModelCall,
            amount: Usdt::from_nano(*nano),
        })
        .collect();
    for _ in 0..CAPTURES {
        match hold.capture(lines.clone(), usage.clone()).await {
            Ok(captured) => {
                let mut world = port.world.lock();
                world.log(format_args!(
                    "call {} is charged {} USDT",
                    call.number, captured.charged
                ));
                world.acknowledge(call_id(call.number), captured);
                drop(world);
                break;
            }
            Err(failed) => {
                hold = failed.hold;
                port.world
                    .lock()
                    .log(format_args!("the capture of call {} failed", call.number));
                port.world.seconds(5).await;
                continue;
            }
        }
    }
    if !call.repeats {
        return;
    }
    let again = Capture {
        call: call_id(call.number),
        org: OrgId(call.org),
        lines,
        usage,
        expenditure: ExpenditureScope::Organization,
    };
    if let Ok(captured) = ledger.capture(again).await {
        port.world.lock().acknowledge(call_id(call.number), captured);
    }
}

fn usage(call: &Call, now: Timestamp) -> UsageRecord {
    UsageRecord {
        project: ProjectId(call.org),
        wallet: parties::OUTSIDE,
        api_key: call.budget.map(|_| key(call)),
        model: ModelId(1),
        model_name: "model".to_owned(),
        provider: "provider".to_owned(),
        tokens: TokenUsage::default(),
        estimated: false,
        streamed: false,
        outcome: CallOutcome::Complete,
        request_hash: [0; 32],
        response_hash: [0; 32],
        started_at: now,
        finished_at: now,
    }
}
