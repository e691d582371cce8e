//! Rows of the marketplace: creators, products and their prices, and which organizations enabled what.
//!
//! A price is announced before it rises: the index puts the next price in force with the first block whose time
//! reaches the announced moment, so that the price of a call follows from the indexed chain alone.

use super::{
    AddedProduct, ChainAmount, ChainEvent, Effect, EventBody, Located, PayoutAddresses, RegisteredCreator,
};
use crate::ledger::TokenScale;
use haithe_kernel::{OrgId, ProductId, Timestamp, Usdt, WalletAddress};
use haithe_orgs::model::ZERO_ADDRESS;

/// A price on chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChainPrice {
    /// Base units, as on chain.
    pub units: ChainAmount,
    /// Rounded down to a nano-USDT; `None` beyond the range of money, which makes the product unusable.
    pub per_call: Option<Usdt>,
}

impl ChainPrice {
    /// The price of so many base units.
    pub fn of(units: ChainAmount, scale: TokenScale) -> Self {
        Self {
            units,
            per_call: scale.money(units).map(|(price, _)| price),
        }
    }
}

/// What a call of a product costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProductPrices {
    /// In force at the indexed head.
    pub now: ChainPrice,
    /// Announced, and from when on.
    pub next: Option<(ChainPrice, Timestamp)>,
    /// When the price in force came into force, if it was announced.
    pub rose_at: Option<Timestamp>,
}

impl ProductPrices {
    /// A price without a next one.
    pub const fn fixed(now: ChainPrice) -> Self {
        Self {
            now,
            next: None,
            rose_at: None,
        }
    }

    /// The prices after the announced one came into force, if it is due at `now`.
    pub fn raised(&self, now: Timestamp) -> Option<Self> {
        let (next, at) = self.next.filter(|(_, at)| *at <= now)?;
        Some(Self {
            now: next,
            next: None,
            rose_at: Some(at),
        })
    }
}

/// Stores a product. `before` is what is at its address on the indexed chain.
pub fn add(event: &ChainEvent, before: Option<Located<ProductId>>, scale: TokenScale) -> Vec<Effect> {
    let EventBody::ProductAdded {
        index,
        product,
        creator,
        name,
        uri,
        encrypted_key,
        category,
        price,
    } = &event.body
    else {
        return Vec::new();
    };
    let mut effects = Vec::new();
    // From a branch of the chain that is gone.
    if let Some(other) = before.filter(|other| other.created_tx != event.tx) {
        effects.push(Effect::HideProduct { product: other.id });
    }
    effects.push(Effect::AddProduct(AddedProduct {
        address: *product,
        created_tx: event.tx,
        index: index.saturating_add(1),
        creator: *creator,
        name: name.clone(),
        uri: uri.clone(),
        encrypted_key: encrypted_key.clone(),
        category: category.clone(),
        prices: ProductPrices::fixed(ChainPrice::of(*price, scale)),
        created_at: event.block_time,
        block: event.block,
    }));
    effects
}

/// What an event says about a product that is on the indexed chain.
pub fn change(event: &ChainEvent, product: ProductId, scale: TokenScale) -> Option<Effect> {
    match &event.body {
        // It takes the place of an announced price.
        EventBody::PriceChanged { price, .. } => Some(Effect::SetPrices {
            product,
            prices: ProductPrices::fixed(ChainPrice::of(*price, scale)),
        }),
        EventBody::PriceScheduled {
            price,
            next_price,
            next_price_at,
            ..
        } => Some(Effect::SetPrices {
            product,
            prices: ProductPrices {
                next: Some((ChainPrice::of(*next_price, scale), *next_price_at)),
                ..ProductPrices::fixed(ChainPrice::of(*price, scale))
            },
        }),
        EventBody::UriChanged { uri, .. } => Some(Effect::SetUri {
            product,
            uri: uri.clone(),
        }),
        EventBody::ProductRetired { .. } => Some(Effect::RetireProduct { product }),
        _ => None,
    }
}

/// Puts announced prices in force that are due at `now`, the time of the indexed head.
pub fn raise(due: &[(ProductId, ProductPrices)], now: Timestamp) -> Vec<Effect> {
    let raised = due
        .iter()
        .filter_map(|(product, prices)| Some((*product, prices.raised(now)?)));
    raised
        .map(|(product, prices)| Effect::SetPrices { product, prices })
        .collect()
}

/// What an organization's contract says about calls of a product.
pub fn enable(event: &ChainEvent, org: OrgId, product: ProductId) -> Option<Effect> {
    match event.body {
        EventBody::ProductEnabled { max_price, .. } => Some(Effect::EnableProduct {
            org,
            product,
            max_price,
        }),
        EventBody::ProductDisabled { .. } => Some(Effect::DisableProduct { org, product }),
        _ => None,
    }
}

/// Stores a creator.
pub fn register(event: &ChainEvent) -> Option<Effect> {
    let EventBody::CreatorRegistered {
        creator,
        id,
        uri,
        pub_key,
    } = &event.body
    else {
        return None;
    };
    Some(Effect::RegisterCreator(RegisteredCreator {
        creator: *creator,
        identity: *id,
        uri: uri.clone(),
        pub_key: pub_key.clone(),
        created_at: event.block_time,
    }))
}

/// Where a creator is paid after a payout address was proposed or a proposal was cancelled. What the earlier
/// proposal had become by this block stays in effect until the new one is.
pub fn payout(event: &ChainEvent, before: PayoutAddresses) -> Option<Effect> {
    let (creator, next) = match event.body {
        EventBody::PayoutAddressProposed {
            creator,
            payout,
            effective_at,
        } => (creator, Some((address(payout), effective_at))),
        EventBody::PayoutAddressCancelled { creator } => (creator, None),
        _ => return None,
    };
    let current = match before.next {
        Some((address, at)) if at <= event.block_time => address,
        _ => before.current,
    };
    let payout = PayoutAddresses { current, next };
    Some(Effect::SetPayout { creator, payout })
}

/// The zero address is no address.
pub(super) fn address(address: WalletAddress) -> Option<WalletAddress> {
    (address != ZERO_ADDRESS).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::tests::event;
    use haithe_kernel::Decimals;

    const PRODUCT: ProductId = ProductId(7);
    const ADDRESS: WalletAddress = WalletAddress::new([7; 20]);
    const CREATOR: WalletAddress = WalletAddress::new([8; 20]);

    fn scale() -> TokenScale {
        TokenScale::of(Decimals::new(18).unwrap())
    }

    fn price(nano: i64) -> ChainPrice {
        ChainPrice::of(Some(u128::try_from(nano).unwrap() * 1_000_000_000), scale())
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn a_price_rounds_down_and_may_be_out_of_range() {
        for (units, nano) in [
            (Some(5_999_999_999), Some(5)),
            (Some(0), Some(0)),
            (Some(u128::MAX), None),
            (None, None),
        ] {
            let price = ChainPrice::of(units, scale());
            assert_eq!(price.per_call.map(Usdt::nano), nano, "{units:?}");
        }
    }

    #[test]
    fn an_announced_price_is_raised_when_a_blocks_time_reaches_it() {
        let announced = ProductPrices {
            next: Some((price(7), at(100))),
            ..ProductPrices::fixed(price(5))
        };
        assert_eq!(announced.raised(at(99)), None);
        let raised = announced.raised(at(100)).unwrap();
        let expected = ProductPrices {
            rose_at: Some(at(100)),
            ..ProductPrices::fixed(price(7))
        };
        assert_eq!(raised, expected);
        assert_eq!(raised.raised(at(200)), None);
        assert_eq!(ProductPrices::fixed(price(5)).raised(at(200)), None);
        let due = [
            (PRODUCT, announced),
            (ProductId(8), ProductPrices::fixed(price(1))),
        ];
        let prices = expected;
        assert_eq!(
            raise(&due, at(150)),
            [Effect::SetPrices {
                product: PRODUCT,
                prices
            }]
        );
    }

    #[test]
    fn a_new_price_replaces_an_announced_one() {
        let changed = EventBody::PriceChanged {
            product: ADDRESS,
            price: price(4).units,
        };
        let prices = ProductPrices::fixed(price(4));
        let effect = change(&event(1, 0, changed), PRODUCT, scale());
        assert_eq!(
            effect,
            Some(Effect::SetPrices {
                product: PRODUCT,
                prices
            })
        );
    }

    #[test]
    fn another_product_at_the_same_address_leaves_the_chain() {
        let added = EventBody::ProductAdded {
            index: 0,
            product: ADDRESS,
            creator: CREATOR,
            name: "Facts".to_owned(),
            uri: String::new(),
            encrypted_key: String::new(),
            category: "promptset".to_owned(),
            price: price(5).units,
        };
        let event = event(1, 0, added);
        let located = |created_tx| {
            Some(Located {
                id: PRODUCT,
                created_tx,
            })
        };
        let hides = |before| matches!(add(&event, before, scale())[..], [Effect::HideProduct { .. }, _]);
        assert!(!hides(None));
        assert!(!hides(located(event.tx)));
        assert!(hides(located([0xff; 32])));
        let [Effect::AddProduct(product)] = &add(&event, None, scale())[..] else {
            panic!("one product")
        };
        assert_eq!(product.index, 1, "the list counts from one");
    }

    #[test]
    fn a_proposed_payout_address_takes_effect_by_the_time_of_the_next_event() {
        let one = WalletAddress::new([1; 20]);
        let two = WalletAddress::new([2; 20]);
        let proposal = |payout, effective_at| EventBody::PayoutAddressProposed {
            creator: CREATOR,
            payout,
            effective_at,
        };
        let cancelled = EventBody::PayoutAddressCancelled { creator: CREATOR };
        let before = PayoutAddresses {
            current: Some(one),
            next: Some((Some(two), at(50))),
        };
        for (time, body, current, next) in [
            (49, proposal(two, at(90)), Some(one), Some((Some(two), at(90)))),
            (
                50,
                proposal(ZERO_ADDRESS, at(90)),
                Some(two),
                Some((None, at(90))),
            ),
            (49, cancelled.clone(), Some(one), None),
            (50, cancelled, Some(two), None),
        ] {
            let event = ChainEvent {
                block_time: at(time),
                ..event(1, 0, body)
            };
            let payout = PayoutAddresses { current, next };
            let expected = Effect::SetPayout {
                creator: CREATOR,
                payout,
            };
            assert_eq!(super::payout(&event, before), Some(expected), "{event:?}");
        }
    }
}
