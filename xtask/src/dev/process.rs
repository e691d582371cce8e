//! Programs that are started, watched and stopped.

use anyhow::{Context, bail};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

/// How long a program may take to stop by itself.
const FAREWELL: Duration = Duration::from_secs(30);

/// Ctrl-C, and SIGTERM where there is one.
pub struct Stop(Receiver<()>, std::cell::Cell<bool>);

impl Stop {
    /// Begins to watch.
    pub fn watch() -> anyhow::Result<Self> {
        let (sender, receiver) = channel();
        ctrlc::set_handler(move || {
            // The receiver lives as long as the program.
            let _ = sender.send(());
        })
        .context("signals cannot be watched")?;
        Ok(Self(receiver, std::cell::Cell::new(false)))
    }

    /// Whether a stop was asked for.
    pub fn requested(&self) -> bool {
        self.wait(Duration::ZERO);
        self.1.get()
    }

    /// Waits this long, or until a stop is asked for.
    pub fn wait(&self, span: Duration) {
        match self.0.recv_timeout(span) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => self.1.set(true),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// A running program.
pub struct Program {
    name: &'static str,
    child: Child,
    output: Option<BufReader<ChildStdout>>,
}

impl Program {
    /// Starts it; with `read` its output is ours to read.
    pub fn start(name: &'static str, command: &mut Command, read: bool) -> anyhow::Result<Self> {
        command.stdin(Stdio::null());
        if read {
            command.stdout(Stdio::piped());
        }
        let mut child = command.spawn().with_context(|| format!("{name} did not start"))?;
        let output = child.stdout.take().map(BufReader::new);
        Ok(Self { name, child, output })
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its first lines, up to and including the one that is `last`. The rest is read and dropped.
    pub fn lines_until(&mut self, last: impl Fn(&str) -> bool) -> anyhow::Result<Vec<String>> {
        let mut output = self
            .output
            .take()
            .with_context(|| format!("{} has no output to read", self.name))?;
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if output.read_line(&mut line)? == 0 {
                bail!("{} stopped while starting; its last lines are above", self.name);
            }
            let is_last = last(&line);
            lines.push(line);
            if is_last {
                break;
            }
        }
        thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Ok(lines)
    }

    /// Waits until it accepts connections, and answers 200 to a GET of `path`.
    pub fn answers(
        &mut self,
        at: SocketAddr,
        path: Option<&str>,
        patience: Duration,
        stop: &Stop,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = self.ended()? {
                bail!(
                    "{} stopped while starting ({status}); its last lines are above",
                    self.name
                );
            }
            if stop.requested() {
                bail!("stopped while {} was starting", self.name);
            }
            if path.map_or_else(
                || TcpStream::connect(at).is_ok(),
                |path| get(at, path).is_ok_and(|ok| ok),
            ) {
                return Ok(());
            }
            stop.wait(Duration::from_millis(50));
        }
        bail!(
            "{} did not answer on {at} within {} s",
            self.name,
            patience.as_secs()
        )
    }

    /// Its status, if it has ended.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("asking after {}", self.name))
    }

    /// Asks it to stop, waits, and stops it by force after half a minute.
    pub fn end(&mut self) {
        if cfg!(unix) {
            // SIGTERM without unsafe code; a terminal's Ctrl-C has reached it already.
            let asked = Command::new("kill")
                .args(["-TERM", &self.child.id().to_string()])
                .stderr(Stdio::null())
                .status();
            let deadline = Instant::now() + FAREWELL;
            while asked.is_ok() && Instant::now() < deadline {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return;
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        // Either it is gone already, or this ends it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(at: SocketAddr, path: &str) -> std::io::Result<bool> {
    let mut connection = TcpStream::connect(at)?;
    connection.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(
        connection,
        "GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n"
    )?;
    let mut head = [0; 12];
    connection.read_exact(&mut head)?;
    Ok(head.ends_with(b" 200"))
}

/// The JSON that a command prints.
pub fn json(command: &mut Command, name: &str) -> anyhow::Result<Value> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{name} did not start"))?;
    if !output.status.success() {
        bail!("{name} failed ({})", output.status);
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{name} printed no JSON"))
}
