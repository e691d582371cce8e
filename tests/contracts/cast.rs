//! Everybody who appears in the tests, with their keys.

use alloy::{
    primitives::{Address, keccak256},
    signers::local::PrivateKeySigner,
};

/// Somebody with a key.
#[derive(Clone, Debug)]
pub struct Person {
    pub signer: PrivateKeySigner,
    pub address: Address,
}

impl Person {
    pub fn named(name: &str) -> Self {
        let signer = PrivateKeySigner::from_bytes(&keccak256(name)).unwrap();
        Self {
            address: signer.address(),
            signer,
        }
    }
}

/// Everybody who appears in the tests.
pub struct People {
    /// Owns the orchestrator.
    pub operator: Person,
    pub server: Person,
    pub guardian: Person,
    /// Own organizations.
    pub alice: Person,
    pub bob: Person,
    /// Works for an organization.
    pub walter: Person,
    /// Make products.
    pub cora: Person,
    pub cleo: Person,
    /// Has no right to anything.
    pub mallory: Person,
}

impl People {
    pub fn new() -> Self {
        Self {
            operator: Person::named("operator"),
            server: Person::named("server"),
            guardian: Person::named("guardian"),
            alice: Person::named("alice"),
            bob: Person::named("bob"),
            walter: Person::named("walter"),
            cora: Person::named("cora"),
            cleo: Person::named("cleo"),
            mallory: Person::named("mallory"),
        }
    }

    pub fn all(&self) -> [&Person; 9] {
        [
            &self.operator,
            &self.server,
            &self.guardian,
            &self.alice,
            &self.bob,
            &self.walter,
            &self.cora,
            &self.cleo,
            &self.mallory,
        ]
    }
}
