//! The service as a program: a process of its own, which can be killed.

use crate::{DEADLINE, app::Surroundings, client::Client, eventually};
use serde_json::Value;
use std::{
    fs::File,
    path::PathBuf,
    process::{ExitStatus, Stdio},
};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

/// The program, which cargo builds together with the suites: it lies beside their folder.
pub fn program() -> PathBuf {
    let suite = std::env::current_exe().expect("a test knows its own file");
    let folder = suite
        .parent()
        .and_then(|deps| deps.parent())
        .expect("target/<profile>/deps");
    folder.join(format!("haithe-under-test{}", std::env::consts::EXE_SUFFIX))
}

/// What a finished run of the program left behind.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Ran {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Did it succeed?
    pub fn success(&self) -> bool {
        self.status.success()
    }
}

impl Surroundings {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(args)
            .env_clear()
            .envs(self.variables())
            // What it puts aside lies where a test can look for it.
            .env("TMPDIR", self.dir())
            .kill_on_drop(true);
        command
    }

    /// Runs a command of the program to its end, with the service's own settings.
    pub async fn run(&self, args: &[&str], input: Option<&Value>) -> Ran {
        let mut command = self.command(args);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        if let Some(input) = input {
            // The program may have refused its arguments already.
            let _ = stdin.write_all(input.to_string().as_bytes()).await;
        }
        drop(stdin);
        let output = tokio::time::timeout(DEADLINE, child.wait_with_output()).await;
        let output = output.expect("the program ends").expect("the program ran");
        Ran {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts a server in a process of its own and waits until it answers.
    pub async fn serve(&self, port: u16) -> Server {
        let server = self.spawn(port);
        server.until_healthy().await;
        server
    }

    /// Starts a server in a process of its own.
    pub fn spawn(&self, port: u16) -> Server {
        let log = self.dir().join("server.log");
        let log = File::options()
            .create(true)
            .append(true)
            .open(log)
            .expect("a writable folder");
        let again = log.try_clone().expect("a second handle");
        let mut command = self.command(&["serve"]);
        command.env("HAITHE__SERVER__PORT", port.to_string());
        command.stdin(Stdio::null()).stdout(again).stderr(log);
        let child = command.spawn().expect("the program starts");
        Server {
            child,
            base: format!("http://127.0.0.1:{port}/api"),
            log: self.dir().join("server.log"),
        }
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
    listener
        .local_addr()
        .expect("a bound listener has an address")
        .port()
}

/// A server in a process of its own. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    /// The base URL, which ends in `/api`.
    pub base: String,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// A caller without a credential.
    pub fn anonymous(&self) -> Client {
        Client::new(self.base.clone())
    }

    /// Waits until it answers.
    pub async fn until_healthy(&self) {
        let client = self.anonymous();
        eventually(
            &format!("the server answers; see {}", self.log.display()),
            async || {
                let answer = client.get("//health").try_send().await.ok()?;
                answer.status.is_success().then_some(())
            },
        )
        .await;
    }

    /// `kill -9`, and waits until it is gone.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("a process of ours");
    }

    /// `kill -TERM`, and waits until it has ended.
    pub async fn terminate(mut self) -> ExitStatus {
        let pid = self.child.id().expect("a process that runs").to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().await;
        assert!(sent.expect("kill is there").success());
        let ended = tokio::time::timeout(DEADLINE, self.child.wait()).await;
        ended.expect("the program ends").expect("a process of ours")
    }

    /// What it wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}
