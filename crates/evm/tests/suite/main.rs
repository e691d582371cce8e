//! The adapter against a whole chain: the development chain in process, and anvil where it is
//! installed (`ANVIL` names the binary, or it is on the path).
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

/// Runs each test on the development chain and on anvil.
macro_rules! on_every_chain {
    ($($(#[$meta:meta])* async fn $name:ident($chain:ident: Chain) $body:block)*) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "each test needs some of them")]
            use super::*;

            async fn body($chain: Chain) $body

            #[tokio::test]
            async fn on_the_development_chain() {
                body(Chain::new().await).await;
            }

            #[tokio::test]
            async fn on_anvil() {
                if let Some(chain) = Chain::on_anvil().await {
                    body(chain).await;
                }
            }
        }
    )*};
}

mod deployment;
mod fixture;
mod sending;
mod trouble;
