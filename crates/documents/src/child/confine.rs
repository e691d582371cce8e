//! What the child gives up before it reads a byte of the document.
//!
//! A document that takes the reader over must find nothing to take: no memory and time beyond its
//! limits, no files (the database is the same user's), no sockets, no other programs and processes.
//! Resource limits hold on every system. On Linux a seccomp filter allows the system calls that
//! reading needs and refuses every other one with `EPERM`; `no_new_privs` is set with it, always. The
//! child also leaves the network namespace where the kernel lets an unprivileged process do that.

use haithe_marketplace::knowledge::ReadLimits;
use rlimit::Resource;
use std::io;

/// Open files: the three pipes, and a few for the system's own needs.
const FILES: u64 = 16;

/// Gives up memory, time, files, network and programs, for good.
pub(super) fn confine(limits: &ReadLimits) -> io::Result<()> {
    bound(limits)?;
    #[cfg(target_os = "linux")]
    {
        leave_the_network();
        filter()?;
    }
    Ok(())
}

fn bound(limits: &ReadLimits) -> io::Result<()> {
    let seconds = limits.within.as_secs().max(1);
    for (resource, most) in [
        (Resource::AS, limits.memory_bytes),
        (Resource::CPU, seconds),
        (Resource::NOFILE, FILES),
        (Resource::FSIZE, 0),
        (Resource::CORE, 0),
    ] {
        let (_, hard) = resource.get()?;
        let most = most.min(hard);
        // A second more until the system kills instead of asking.
        let last = if resource == Resource::CPU {
            (most + 1).min(hard)
        } else {
            most
        };
        resource.set(most, last)?;
    }
    Ok(())
}

/// Moves to a network namespace without any interface. Many kernels forbid that to an unprivileged
/// process; the filter refuses sockets in any case.
#[cfg(target_os = "linux")]
fn leave_the_network() {
    use nix::sched::{CloneFlags, unshare};
    let _ = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET);
}

/// System calls that reading from one pipe, computing on threads and writing to another need.
#[cfg(target_os = "linux")]
const NEEDED: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_ppoll,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    // Refused by the first filter, so that the C library falls back to `clone`.
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_membarrier,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_sysinfo,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Installs the filter on every thread, and `no_new_privs` with it.
#[cfg(target_os = "linux")]
fn filter() -> io::Result<()> {
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, apply_filter_all_threads,
    };
    use std::collections::BTreeMap;

    let install = |rules: BTreeMap<i64, Vec<SeccompRule>>, other, listed| {
        let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
        let filter = SeccompFilter::new(rules, other, listed, arch).map_err(io::Error::other)?;
        let program: BpfProgram = filter.try_into().map_err(io::Error::other)?;
        apply_filter_all_threads(&program).map_err(io::Error::other)
    };
    let errno = |number: i32| SeccompAction::Errno(number.unsigned_abs());
    // The arguments of `clone3` are behind a pointer, which a filter cannot read.
    let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    install(clone3, SeccompAction::Allow, errno(libc::ENOSYS))?;

    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        NEEDED.iter().map(|number| (*number, Vec::new())).collect();
    // Threads, but no processes.
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    let only_threads =
        SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(thread), thread)
            .and_then(|condition| SeccompRule::new(vec![condition]))
            .map_err(io::Error::other)?;
    rules.insert(libc::SYS_clone, vec![only_threads]);
    // A name for a thread or a mapping; nothing else of `prctl`.
    let named = |option: i32| {
        SeccompCondition::new(
            0,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::Eq,
            u64::from(option.unsigned_abs()),
        )
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(io::Error::other)
    };
    rules.insert(
        libc::SYS_prctl,
        vec![named(libc::PR_SET_NAME)?, named(libc::PR_SET_VMA)?],
    );
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_poll, Vec::new());
    install(rules, errno(libc::EPERM), SeccompAction::Allow)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::{
        fs::File,
        net::{TcpListener, TcpStream, UdpSocket},
        os::unix::net::{UnixListener, UnixStream},
        process::{Command, Stdio},
        thread,
        time::Duration,
    };

    /// Tells the probe that it is one.
    const PROBE: &str = "HAITHE_CONFINED_PROBE";

    fn denied<T>(what: &str, tried: io::Result<T>) -> String {
        match tried {
            Ok(_) => format!("{what}: allowed\n"),
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => String::new(),
            Err(error) => format!("{what}: {error}\n"),
        }
    }

    /// Runs in a process of its own: confines it and tries what must be refused.
    #[test]
    fn probe() {
        if std::env::var_os(PROBE).is_none() {
            return;
        }
        let own = std::env::current_exe().unwrap();
        let limits = ReadLimits {
            memory_bytes: 4 << 30,
            within: Duration::from_secs(30),
            ..ReadLimits::default()
        };
        confine(&limits).unwrap();
        let mut wrong = String::new();
        wrong += &denied("a TCP connection", TcpStream::connect("127.0.0.1:9"));
        wrong += &denied("a TCP listener", TcpListener::bind("127.0.0.1:0"));
        wrong += &denied("an IPv6 listener", TcpListener::bind("[::1]:0"));
        wrong += &denied("a UDP socket", UdpSocket::bind("127.0.0.1:0"));
        wrong += &denied("a Unix socket", UnixListener::bind("/tmp/confined"));
        wrong += &denied("a pair of sockets", UnixStream::pair());
        wrong += &denied("a file", File::open("/etc/passwd"));
        wrong += &denied("a new file", File::create("/tmp/confined"));
        wrong += &denied("a removal", std::fs::remove_file("/tmp/confined"));
        wrong += &denied("another program", Command::new("/bin/true").status());
        wrong += &denied("itself again", Command::new(own).stdout(Stdio::null()).status());
        let sum = thread::spawn(|| (1..=1_000u64).sum::<u64>()).join().unwrap();
        assert_eq!(sum, 500_500, "threads still run");
        let memory = vec![1u8; 64 << 20];
        assert_eq!(memory.iter().filter(|byte| **byte == 1).count(), 64 << 20);
        assert_eq!(wrong, "");
    }

    /// Finding 19: a document that took its reader over could open sockets, files and programs.
    #[test]
    fn a_confined_process_opens_no_socket_no_file_and_no_program() {
        let own = std::env::current_exe().unwrap();
        let probed = Command::new(own)
            .args(["--exact", "child::confine::tests::probe", "--nocapture"])
            .env(PROBE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&probed.stdout) + String::from_utf8_lossy(&probed.stderr);
        assert!(probed.status.success(), "{said}");
        assert!(said.contains("1 passed"), "{said}");
    }
}
