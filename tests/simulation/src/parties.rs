//! Who takes part: organizations, creators and the orchestrator, by number and by address.

use haithe_billing::capture::Payee;
use haithe_kernel::{OrgId, WalletAddress};

/// The orchestrator's contract.
pub const ORCHESTRATOR: WalletAddress = WalletAddress::new([0xee; 20]);
/// The server's key.
pub const SERVER: WalletAddress = WalletAddress::new([0x5e; 20]);
/// A wallet outside, where withdrawals go and deposits come from.
pub const OUTSIDE: WalletAddress = WalletAddress::new([0x0f; 20]);
/// How many creators there are.
pub const CREATORS: u8 = 2;

/// The contract of the organization with this number (from 1).
pub fn contract(org: i64) -> WalletAddress {
    WalletAddress::new([0x10 + u8::try_from(org).expect("few organizations"); 20])
}

/// The organization at this contract.
pub fn organization(address: WalletAddress) -> Option<i64> {
    (1..=8).find(|org| contract(*org) == address)
}

/// The wallet of the creator with this number (from 0).
pub fn creator(number: u8) -> WalletAddress {
    WalletAddress::new([0xc0 + number; 20])
}

/// A payee by a small number: the platform, then creators, then organizations.
pub fn payee(number: u8) -> Payee {
    match number {
        0 => Payee::Platform,
        number if number <= CREATORS => Payee::Creator(creator(number - 1)),
        number => Payee::Organization(OrgId(i64::from(number - CREATORS))),
    }
}

/// How a payee is called in a history.
pub fn name(payee: Payee) -> String {
    match payee {
        Payee::Platform => "the platform".to_owned(),
        Payee::Creator(wallet) => format!("creator {}", wallet.as_bytes()[0] - 0xc0),
        Payee::Organization(org) => format!("organization {org}"),
    }
}
