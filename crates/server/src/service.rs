//! The process around the routes: time, chance, background work and its health.

pub mod health;
pub mod supervisor;
pub mod system;

pub use health::Readiness;
pub use supervisor::Supervisor;
