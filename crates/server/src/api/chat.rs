//! `/api/v1beta/chat`: the caller's conversations with a project.

pub mod conversations;
pub mod messages;

use crate::http::extract::ApiCaller;
use haithe_inference::conversations::Owner;

/// Whose conversations the caller sees.
fn owner(caller: &ApiCaller) -> Owner {
    Owner {
        wallet: caller.principal.address,
        org: caller.context.payer.id,
        project: caller.context.project.id,
    }
}
