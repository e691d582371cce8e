//! Events that Haithe itself adds to a provider's stream, or completes.

use crate::{
    call::{Call, Charged},
    meter::{Document, Form, Head, Identity, Meter, usage_object},
};
use bytes::{Bytes, BytesMut};
use haithe_kernel::CallId;
use std::fmt::Write as _;

/// The event that ends every complete stream.
pub(super) const DONE: &[u8] = b"data: [DONE]\n\n";

/// What events of our own need.
pub(super) struct Own {
    pub call: CallId,
    model: String,
    /// Unix seconds.
    started_at: i64,
    /// The provider's chunks, whose identity ours share.
    head: Head,
    /// The provider's chunks lack a part of it.
    unnamed: bool,
}

impl Own {
    /// For this call.
    pub fn of(call: &Call) -> Self {
        Self {
            call: call.id,
            model: call.model.name.clone(),
            started_at: call.began.at.seconds(),
            head: Head::default(),
            unnamed: false,
        }
    }

    /// Takes over the identity of what came.
    pub fn follow(&mut self, meter: &Meter) {
        self.head = meter.head();
        self.unnamed = meter.unnamed();
    }

    /// A chunk with what it lacks of its identity, as an event.
    pub fn named(&self, chunk: &Document) -> Bytes {
        event(&chunk.named(&self.identity())).freeze()
    }

    /// The provider's usage, or ours where it sent none, with the cost in it; and `[DONE]`: one piece.
    pub fn usage_and_done(&self, usage: Option<&Document>, charged: Charged) -> Bytes {
        let chunk = match usage {
            Some(usage) if self.unnamed => usage.identified(charged.cost, charged.tokens, &self.identity()),
            Some(usage) => usage.with_cost(charged.cost, charged.tokens),
            None => self.usage_chunk(charged),
        };
        let mut out = event(&chunk);
        out.extend_from_slice(DONE);
        out.freeze()
    }

    fn identity(&self) -> Identity<'_> {
        Identity {
            form: Form::Chunk,
            call: self.call,
            id: &self.head.id,
            created: self.created(),
            model: &self.model,
        }
    }

    /// When the provider says that the answer was made, or when the call began.
    fn created(&self) -> i64 {
        match i64::try_from(self.head.created) {
            Ok(created @ 1..) => created,
            _ => self.started_at,
        }
    }

    /// The usage chunk that the provider did not send.
    fn usage_chunk(&self, charged: Charged) -> Bytes {
        let identity = self.identity();
        let (id, created) = (identity.quoted_id(), identity.created);
        let mut chunk = String::with_capacity(320);
        // Writing to a String cannot fail.
        let _ = write!(
            chunk,
            "{{\"id\":{id},\"object\":\"chat.completion.chunk\",\"created\":{created},\"model\":\"{}\",\"choices\":[],\"usage\":",
            self.model
        );
        usage_object(charged.tokens, charged.cost, &mut chunk);
        chunk.push('}');
        Bytes::from(chunk)
    }
}

/// An event of this data.
fn event(data: &[u8]) -> BytesMut {
    let mut event = BytesMut::with_capacity(data.len() + 24);
    event.extend_from_slice(b"data: ");
    event.extend_from_slice(data);
    event.extend_from_slice(b"\n\n");
    event
}
