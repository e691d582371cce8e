//! The chain as an alloy transport, and the path every transported call takes.

use crate::{DevChain, RpcError};
use alloy::{
    rpc::json_rpc::{
        ErrorPayload, RequestPacket, Response, ResponsePacket, ResponsePayload, SerializedRequest,
    },
    transports::{TransportError, TransportErrorKind, TransportFut},
};
use serde_json::{Value, value::to_raw_value};
use std::task;

/// What comes back over a transport.
pub(crate) enum Answer {
    Said(Result<Value, RpcError>),
    /// The call took effect, but the connection broke before the answer arrived.
    Lost,
}

impl DevChain {
    /// Waits as long as answers are set to take.
    pub(crate) async fn delay(&self) {
        let delay = self.faults().delay();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    /// Answers one call, or loses the answer.
    pub(crate) fn answer(&self, method: &str, params: &Value) -> Answer {
        let said = self.handle(method, params);
        if self.faults().loses(method) {
            Answer::Lost
        } else {
            Answer::Said(said)
        }
    }

    fn respond(&self, request: &SerializedRequest) -> Result<Response, TransportError> {
        let params = match request.params() {
            Some(params) => serde_json::from_str(params.get()).map_err(TransportError::ser_err)?,
            None => Value::Null,
        };
        let payload = match self.answer(request.method(), &params) {
            Answer::Said(Ok(value)) => {
                ResponsePayload::Success(to_raw_value(&value).map_err(TransportError::ser_err)?)
            }
            Answer::Said(Err(error)) => {
                let data = error
                    .data
                    .map(|data| to_raw_value(&data))
                    .transpose()
                    .map_err(TransportError::ser_err)?;
                ResponsePayload::Failure(ErrorPayload {
                    code: error.code,
                    message: error.message.into(),
                    data,
                })
            }
            Answer::Lost => {
                return Err(TransportErrorKind::custom_str(
                    "connection closed before message completed",
                ));
            }
        };
        Ok(Response {
            id: request.id().clone(),
            payload,
        })
    }
}

impl tower::Service<RequestPacket> for DevChain {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), Self::Error>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let chain = self.clone();
        Box::pin(async move {
            chain.delay().await;
            match packet {
                RequestPacket::Single(request) => chain.respond(&request).map(ResponsePacket::Single),
                RequestPacket::Batch(requests) => requests
                    .iter()
                    .map(|r| chain.respond(r))
                    .collect::<Result<_, _>>()
                    .map(ResponsePacket::Batch),
            }
        })
    }
}
