//! Organizations, projects and what belongs to them.

use super::{Base, chain::Chain};
use haithe_billing::open_calls::LedgerOpenCalls;
use haithe_evm::EvmOwnerTransactions;
use haithe_kernel::ModelId;
use haithe_orgs::{
    AcceptedProjects, Audit, Bots, Contexts, OrganizationPorts, Organizations, Ownership, PriceNotice,
    ProjectPorts, Projects, Settings,
};
use std::sync::Arc;

/// The use cases of orgs.
pub(super) struct DirectoryParts {
    pub organizations: Arc<Organizations>,
    pub projects: Arc<Projects>,
    pub accepted_projects: Arc<AcceptedProjects>,
    pub bots: Arc<Bots>,
    pub settings: Arc<Settings>,
    pub ownership: Arc<Ownership>,
    pub audit: Arc<Audit>,
    pub contexts: Arc<Contexts>,
    /// Encodes what owners sign.
    pub transactions: Arc<EvmOwnerTransactions>,
}

/// Sets the use cases up. New organizations and projects start with `default_model`.
pub(super) fn directory(base: &Base<'_>, chain: &Chain, default_model: ModelId) -> DirectoryParts {
    let (config, stores, clock) = (base.config, base.stores, base.clock);
    let transactions = Arc::new(EvmOwnerTransactions::new(config.chain.id));
    let organizations = Arc::new(Organizations::new(
        OrganizationPorts {
            orgs: stores.orgs.clone(),
            standings: stores.standings.clone(),
            members: stores.org_members.clone(),
            models: stores.org_models.clone(),
            deployer: chain.deployer.clone(),
            transactions: transactions.clone(),
            chain: chain.sync.clone(),
            calls: Arc::new(LedgerOpenCalls::new(stores.ledger.clone())),
            clock: clock.clone(),
        },
        default_model,
    ));
    let projects = Arc::new(Projects::new(
        ProjectPorts {
            projects: stores.projects.clone(),
            orgs: stores.orgs.clone(),
            standings: stores.standings.clone(),
            settings: stores.org_settings.clone(),
            clock: clock.clone(),
            random: base.random.clone(),
        },
        organizations.clone(),
        default_model,
        PriceNotice(config.projects.price_notice),
    ));
    DirectoryParts {
        accepted_projects: Arc::new(AcceptedProjects::new(
            organizations.clone(),
            stores.accepted_projects.clone(),
            clock.clone(),
        )),
        bots: Arc::new(Bots::new(projects.clone(), stores.bots.clone(), clock.clone())),
        settings: Arc::new(Settings::new(
            organizations.clone(),
            stores.org_settings.clone(),
            clock.clone(),
        )),
        ownership: Arc::new(Ownership::new(
            organizations.clone(),
            stores.orgs.clone(),
            transactions.clone(),
        )),
        audit: Arc::new(Audit::new(organizations.clone(), stores.audit.clone())),
        contexts: Arc::new(Contexts::new(stores.directory.clone())),
        organizations,
        projects,
        transactions,
    }
}
