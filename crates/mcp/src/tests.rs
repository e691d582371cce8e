//! The adapter against a scripted fetcher: a server that obeys, misbehaves, or never answers.

mod calling;
mod opening;
mod scripted;
