//! The adapter against a whole chain: the development chain in process, and anvil where it is
//! installed (`ANVIL` names the binary, or it is on the path).
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

/// Runs each of these tests on the development chain and on anvil.
macro_rules! on_every_chain {
    ($($test:ident,)*) => {$(
        mod $test {
            use crate::fixture::Chain;

            #[tokio::test]
            async fn on_the_development_chain() {
                super::$test(Chain::new().await).await;
            }

            #[tokio::test]
            async fn on_anvil() {
                if let Some(chain) = Chain::on_anvil().await {
                    super::$test(chain).await;
                }
            }
        }
    )*};
}

mod crashes;
mod deploying_orgs;
mod deployment;
mod events;
mod fixture;
mod node;
mod reading;
mod sending;
mod settling;
mod trouble;
mod wallets;
