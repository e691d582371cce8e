//! One server per database: holds live in one process's memory, so a second one would overspend.
//! And nobody else's eyes: new files can be read by their owner only.

use crate::open::OpenError;
use std::{
    ffi::OsString,
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
};

/// An exclusive lock on `<database>.lock`. The operating system drops it with the process.
#[derive(Debug)]
pub(crate) struct ProcessLock {
    _file: File,
}

impl ProcessLock {
    pub(crate) fn take(database: &Path) -> Result<Self, OpenError> {
        let mut name = OsString::from(database.as_os_str());
        name.push(".lock");
        let path = PathBuf::from(name);
        let failed = |source| OpenError::Lock {
            path: path.clone(),
            source,
        };
        let file = open_private(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
                path: database.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

/// Makes the database file, if it is not there, such that only its owner can read it. SQLite gives
/// the files beside it the same permissions.
pub(crate) fn make_private(database: &Path) -> Result<(), OpenError> {
    open_private(database).map(drop).map_err(|error| OpenError::Sqlx {
        path: database.to_owned(),
        source: sqlx::Error::Io(error),
    })
}

fn open_private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
