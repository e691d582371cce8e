//! The adapter: one child per document.

use crate::{
    child::UNCONFINED,
    wire::{Answer, Excess, Order, Refusal},
};
use async_trait::async_trait;
use haithe_marketplace::{
    knowledge::{Chunk, Format, ReadLimits},
    ports::{Documents, ExtractError},
};
use std::{
    io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    thread::available_parallelism,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    sync::Semaphore,
    time::timeout,
};

/// This very program, also when its file was replaced by a newer one. Linux only.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// The signal that says that the processor's time is spent.
const SIGXCPU: i32 = 24;
/// Most children at a time.
const MOST_CHILDREN: usize = 4;
/// Bytes of an answer beside the text: places and punctuation.
const AROUND_TEXT: usize = 16 << 20;

/// The program that is to be the child cannot be found.
#[derive(Debug, thiserror::Error)]
#[error("the program that reads documents cannot be found")]
pub struct SetupError(#[from] io::Error);

/// Why a child gave no answer.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("no reader was free in time")]
    Busy,
    #[error("the reader could not be started")]
    Start(#[source] io::Error),
    #[error("the pipe to the reader broke")]
    Pipe(#[source] io::Error),
    #[error("the reader could not confine itself (seccomp, resource limits) and read nothing")]
    Unconfined,
}

/// [`Documents`] in children of this program.
pub struct ChildDocuments {
    program: PathBuf,
    arguments: Vec<String>,
    children: Semaphore,
}

impl ChildDocuments {
    /// Children are this program with `arguments`, which must lead to [`child::run`](crate::child::run).
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn of_this_program(arguments: &[&str]) -> Result<Self, SetupError> {
        let own = Path::new(OWN_PROGRAM);
        let program = if own.exists() {
            own.to_owned()
        } else {
            std::env::current_exe()?
        };
        Ok(Self::of_program(program, arguments))
    }

    /// Children are another program that leads to [`child::run`](crate::child::run). For tests.
    pub fn of_program(program: PathBuf, arguments: &[&str]) -> Self {
        let children = available_parallelism().map_or(1, usize::from).min(MOST_CHILDREN);
        Self {
            program,
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            children: Semaphore::new(children),
        }
    }

    /// A child that inherits nothing and ends with its handle.
    fn start(&self) -> io::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }

    async fn ask(&self, order: Order, bytes: &[u8]) -> Result<Vec<Chunk>, ExtractError> {
        let mut child = self.start().map_err(|error| unavailable(Failed::Start(error)))?;
        let Order { format, limits } = order;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(unavailable(Failed::Pipe(io::ErrorKind::BrokenPipe.into())));
        };
        let mut head = serde_json::to_vec(&order).map_err(|error| unavailable(Failed::Pipe(error.into())))?;
        head.push(b'\n');
        let write = async {
            // A child that refuses or dies stops reading; its answer or its end says why.
            if input.write_all(&head).await.is_ok() {
                let _ = input.write_all(bytes).await;
            }
            drop(input);
        };
        let most = limits.text_bytes.saturating_mul(3).saturating_add(AROUND_TEXT);
        let mut answer = Vec::new();
        let mut output = output.take(u64::try_from(most).unwrap_or(u64::MAX));
        let (read, ()) = tokio::join!(output.read_to_end(&mut answer), write);
        read.map_err(|error| unavailable(Failed::Pipe(error)))?;
        if answer.len() >= most {
            return Err(Refusal::TooLarge(Excess::Text).into_error(format));
        }
        let status = child
            .wait()
            .await
            .map_err(|error| unavailable(Failed::Pipe(error)))?;
        if status.signal() == Some(SIGXCPU) {
            return Err(ExtractError::Late);
        }
        if status.code() == Some(UNCONFINED.into()) {
            return Err(unavailable(Failed::Unconfined));
        }
        if !status.success() {
            return Err(ExtractError::Malformed(format));
        }
        match serde_json::from_slice(&answer) {
            Ok(Answer::Pieces(chunks)) if chunks.is_empty() => Err(ExtractError::Empty),
            Ok(Answer::Pieces(chunks)) => Ok(chunks),
            Ok(Answer::Refused(refusal)) => Err(refusal.into_error(format)),
            Err(_) => Err(ExtractError::Malformed(format)),
        }
    }
}

fn unavailable(failed: Failed) -> ExtractError {
    ExtractError::Unavailable(Arc::new(failed))
}

#[async_trait]
impl Documents for ChildDocuments {
    async fn extract(
        &self,
        format: Format,
        bytes: Arc<[u8]>,
        limits: ReadLimits,
    ) -> Result<Vec<Chunk>, ExtractError> {
        if bytes.len() > limits.bytes {
            return Err(Refusal::TooLarge(Excess::Bytes).into_error(format));
        }
        let free = timeout(limits.within, self.children.acquire()).await;
        let Ok(Ok(_permit)) = free else {
            return Err(unavailable(Failed::Busy));
        };
        timeout(limits.within, self.ask(Order { format, limits }, &bytes))
            .await
            .unwrap_or(Err(ExtractError::Late))
    }
}
