//! Before the loop: what comes along, what it costs at most, and the money for it.

use super::{Loop, lookout::Lookout, request_of};
use crate::{
    agent::{
        ProductFee,
        compose::Draft,
        gear::{Equipment, Gear, GearError, Room, Wish},
        output::{Output, Receiving, events},
        speech::{Identity, Names},
        tools::{ToolUse, Toolbox},
    },
    call::Bill,
    completions::{Answer, Caller, Completions, account, payer_would_accept, quote},
    conversations::ConversationId,
    error::CompletionError,
    presence::Presence,
    price::{Bound, Quote},
    request::ChatRequest,
};
use futures::{FutureExt, channel::oneshot, future::try_join_all};
use haithe_billing::capture::PriceLine;
use haithe_kernel::{CallId, Timestamp, Usdt};
use sha2::{Digest, Sha256};
use std::{collections::HashSet, sync::Arc};

/// Copies of what gears bring that exist at a time while a request is composed and measured.
const COPIES: usize = 4;

impl Completions {
    /// Answers as an agent whose project brings something along.
    pub(crate) async fn run_agent(
        &self,
        caller: Caller,
        request: ChatRequest,
        conversation: Option<ConversationId>,
        gears: Vec<Arc<dyn Gear>>,
    ) -> Result<Answer, CompletionError> {
        let (model, route) = self.chosen(&caller, request.model(), request.needs())?;
        if request.choices() != 1 {
            let why = "n must be 1 for a project with products, search or memory";
            return Err(CompletionError::invalid("n", why));
        }
        // Money first: without it nothing is opened, loaded or composed.
        let (id, began) = self.begin_call(&caller);
        let started_at = began.at;
        let prices = quote(&caller, &model, started_at);
        let smallest = Bound {
            input: 1,
            output: 1,
            choices: 1,
        };
        let call = (id, started_at);
        let payer = caller.context.payer.id;
        let available = match self.spendable(call, &caller, prices.least(smallest)).await {
            Ok(available) => available,
            Err(refusal) => {
                // A project that the payer did not accept is refused for that, with or without money.
                payer_would_accept(&caller.context, Usdt::ZERO, started_at)?;
                return Err(refusal);
            }
        };
        let room = Room {
            available,
            quote: prices,
            context: model.context.into(),
        };
        let draft = Draft::open(&request)?;
        let wish = Wish {
            at: started_at,
            caller,
            conversation,
            question: draft.question.clone(),
            tools: model.capabilities.tools && draft.tools_allowed(),
            room,
            preparation: self.preparations().begin(payer),
        };
        let mut equipment = Equipment::default();
        let equipped = try_join_all(gears.iter().map(|gear| gear.equip(&wish))).await;
        match equipped {
            Ok(parts) => parts.into_iter().for_each(|part| equipment.extend(part)),
            Err(error) => return Err(self.reason(call, &wish.caller, error).await),
        }
        let tool_use = ToolUse::of(std::mem::take(&mut equipment.tool_products));
        let toolbox = Toolbox::new(std::mem::take(&mut equipment.tools));
        draft.expect_other_names(&toolbox.definitions)?;

        let limits = self.agent_limits();
        payees_within(limits.payees, &wish, &equipment)?;
        let products = Usdt::checked_sum(equipment.fees.iter().map(|fee| fee.amount)).unwrap_or(Usdt::MAX);
        let whole = Quote { products, ..prices };
        let brought = equipment
            .instructions
            .iter()
            .chain(&equipment.data)
            .map(String::len);
        let brought = brought.sum::<usize>();
        if let Err(error) = room.holds(products, brought.saturating_add(draft.question.len())) {
            return Err(self.reason(call, &wish.caller, error).await);
        }
        wish.preparation.take(brought.saturating_mul(COPIES))?;
        let asked = request_of(&draft, &equipment, &toolbox, &[], (1, limits.steps))?;
        let allowed = self.take_tokens(&wish.caller, &asked)?;
        let most = |bound| whole.fixed().saturating_add(limits.cost).max(whole.least(bound));
        let set_aside = self
            .set_aside(call, &wish.caller, &asked, &model, &whole, most)
            .await?;
        wish.preparation.end();
        let fees: Vec<PriceLine> = whole
            .fee_line()
            .into_iter()
            .chain(equipment.fees.iter().map(ProductFee::line))
            .collect();
        let due: Usdt = fees.iter().map(|line| line.amount).sum();
        let granted = set_aside.hold.amount();
        let bill = Bill {
            id,
            hold: set_aside.hold,
            allowed,
            account: account(&wish.caller),
            model: Arc::clone(&model),
            streamed: request.stream(),
            request_hash: Sha256::digest(request.body()).into(),
            began,
            hold_took: set_aside.took,
            tools: self.tools().clone(),
            permit: wish.caller.permit.clone(),
        };
        let names = Names {
            ours: toolbox.definitions.iter().map(|tool| tool.name.clone()).collect(),
            callers: !draft.own_tools.is_empty(),
        };
        let (output, presence, waiting) = if request.stream() {
            let (sending, presence, receiving) = events();
            (Output::Events(sending), presence, Waiting::Stream(receiving))
        } else {
            let (tell, answered) = oneshot::channel();
            let presence = Presence::irrelevant();
            (Output::Document(tell), presence, Waiting::Document(answered))
        };
        let looping = Loop {
            completions: self.clone(),
            limits,
            gears,
            wish,
            quote: Quote {
                project: None,
                products: Usdt::ZERO,
                ..whole
            },
            model,
            route,
            draft,
            equipment,
            toolbox,
            tool_use,
            names,
            lookout: Lookout {
                presence,
                deadline: self.ports().timer.sleep(limits.time).boxed().fuse(),
            },
            fees,
            left: granted.saturating_sub(due),
            wants_usage: request.include_usage(),
            id,
            used: Vec::new(),
            thread: Vec::new(),
            identity: Identity::default(),
            delivered: false,
            ran: Vec::new(),
            began,
            first_token: None,
        };
        // In a task of its own: a caller who leaves cannot lose the charge.
        let work = looping.run(asked, bill, output);
        self.ports().tasks.spawn("agent", Box::pin(work));
        match waiting {
            Waiting::Document(answered) => answered.await.map_err(|_| CompletionError::Interrupted)?,
            Waiting::Stream(receiving) => receiving.answer(id, granted).await,
        }
    }

    /// Why a call cannot be prepared. Where money is lacking, the decision about money says which.
    async fn reason(&self, call: (CallId, Timestamp), caller: &Caller, error: GearError) -> CompletionError {
        if let GearError::Unaffordable { least } = error
            && let Err(refusal) = self.spendable(call, caller, least).await
        {
            return refusal;
        }
        error.into()
    }
}

enum Waiting {
    Document(oneshot::Receiver<Result<Answer, CompletionError>>),
    Stream(Receiving),
}

/// Refuses a call that pays more payees than a settlement line can hold.
fn payees_within(most: usize, wish: &Wish, equipment: &Equipment) -> Result<(), CompletionError> {
    let context = &wish.caller.context;
    let creators: HashSet<_> = equipment.fees.iter().map(|fee| fee.creator).collect();
    let owner = usize::from(context.project.org != context.payer.id);
    let payees = creators.len() + owner + 1;
    if payees > most {
        return Err(CompletionError::TooManyPayees { payees, most });
    }
    Ok(())
}
