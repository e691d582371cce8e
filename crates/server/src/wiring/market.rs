//! The market: creators and their products.

use super::{Base, chain::Chain};
use crate::state::PublicMarket;
use haithe_inference::agent::{ProductChecks, ProductOpener};
use haithe_marketplace::Market;
use std::sync::Arc;

/// The use cases over products.
pub(super) struct MarketParts {
    pub market: Arc<Market>,
    pub public_market: PublicMarket,
    pub product_checks: Arc<ProductChecks>,
}

/// Sets the use cases up.
pub(super) fn market(base: &Base<'_>, chain: &Chain, opener: Arc<ProductOpener>) -> MarketParts {
    let stores = base.stores;
    let most = base.config.agent.max_products;
    let market = Arc::new(Market::new(
        stores.creators.clone(),
        stores.products.clone(),
        chain.registrar.clone(),
        base.clock.clone(),
        most,
    ));
    MarketParts {
        public_market: PublicMarket(Arc::new(Market::new(
            stores.public.creators.clone(),
            stores.public.products.clone(),
            chain.registrar.clone(),
            base.clock.clone(),
            most,
        ))),
        product_checks: Arc::new(ProductChecks::new(
            stores.products.clone(),
            market.clone(),
            opener,
            base.clock.clone(),
        )),
        market,
    }
}
