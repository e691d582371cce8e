//! Who callers are: logins, sessions, API keys, requests that come twice, the waiting list.

use super::{Base, SWEEP_EVERY, Secrets};
use crate::service::system::TokioTimer;
use haithe_identity::{
    ApiKeys, Authenticator, Challenges, Idempotency, Logins, Sessions, SignIn, ports::ContractWallets,
    waitlist::WaitingList,
};
use haithe_kernel::StoreError;
use std::sync::Arc;

/// The use cases of identity.
pub(super) struct IdentityParts {
    pub challenges: Arc<Challenges>,
    pub logins: Arc<Logins>,
    pub sessions: Arc<Sessions>,
    pub api_keys: Arc<ApiKeys>,
    pub authenticator: Arc<Authenticator>,
    pub idempotency: Arc<Idempotency>,
    pub waiting_list: Arc<WaitingList>,
}

/// Sets the use cases up; expired rows are deleted in the background.
pub(super) async fn identity(
    base: &Base<'_>,
    secrets: Secrets,
    wallets: Arc<dyn ContractWallets>,
) -> Result<IdentityParts, StoreError> {
    let stores = base.stores;
    let (clock, random) = (base.clock, base.random);
    let sites = &base.config.auth.sites;
    let sign_in = Arc::new(SignIn {
        first: sites.first.clone(),
        others: sites.others.clone(),
        chain_id: base.config.chain.id,
    });
    let idempotency = Arc::new(Idempotency::new(
        stores.idempotency.clone(),
        clock.clone(),
        random.clone(),
        Arc::new(base.tasks.clone()),
        Arc::new(TokioTimer),
    ));
    idempotency.recover().await?;
    sweep(base, &idempotency);
    let tokens = secrets.tokens;
    let sessions = Arc::new(Sessions::new(
        stores.sessions.clone(),
        tokens.clone(),
        clock.clone(),
    ));
    let api_keys = Arc::new(ApiKeys::new(
        stores.api_keys.clone(),
        secrets.signer,
        clock.clone(),
        random.clone(),
    ));
    Ok(IdentityParts {
        challenges: Arc::new(Challenges::new(
            stores.challenges.clone(),
            clock.clone(),
            random.clone(),
            sign_in.clone(),
        )),
        logins: Arc::new(Logins::new(
            stores.challenges.clone(),
            stores.sessions.clone(),
            Some(wallets),
            tokens,
            sign_in,
            clock.clone(),
            random.clone(),
        )),
        authenticator: Arc::new(Authenticator::new(sessions.clone(), api_keys.clone())),
        sessions,
        api_keys,
        idempotency,
        waiting_list: Arc::new(WaitingList::new(stores.public.waitlist.clone(), clock.clone())),
    })
}

/// Deletes expired challenges, sessions and responses in the background.
fn sweep(base: &Base<'_>, idempotency: &Arc<Idempotency>) {
    let stores = base.stores;
    let (challenges, sessions) = (stores.challenges.clone(), stores.sessions.clone());
    let (idempotency, clock) = (idempotency.clone(), base.clock.clone());
    base.supervisor.every("sweeper", SWEEP_EVERY, move || {
        let (challenges, sessions) = (challenges.clone(), sessions.clone());
        let (idempotency, clock) = (idempotency.clone(), clock.clone());
        async move {
            let now = clock.now();
            let swept = (challenges.sweep(now).await?, sessions.sweep(now).await?);
            let answers = idempotency.sweep().await?;
            tracing::debug!(
                challenges = swept.0,
                sessions = swept.1,
                answers,
                "expired rows deleted"
            );
            Ok::<(), StoreError>(())
        }
    });
}
