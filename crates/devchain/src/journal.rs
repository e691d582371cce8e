//! The file that keeps a chain: one JSON value per line, replayed at start.
//!
//! It records what cannot be computed again: the genesis, raw transactions with the slot of their
//! block, rewinds, edits and clock changes; each block's hash proves the replay. A run of empty
//! blocks is one line: while the run lasts, the file's last line is written over with a longer
//! count, so a second's worth of nothing costs no space and a killed process loses no block.
//! Lines reach the operating system before anybody is answered; they are synced at the end.

use crate::{StartError, blocks::Slot, clock::Clock, config::Genesis};
use alloy::primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// The only format there is so far.
const VERSION: u32 = 1;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Entry {
    /// The first line.
    Genesis { version: u32, genesis: Genesis },
    /// A block with transactions, or with a base fee that was set by hand.
    Block {
        slot: Slot,
        hash: B256,
        transactions: Vec<Bytes>,
    },
    /// Consecutive empty blocks at equal distances.
    Empty(EmptyRun),
    /// Everything after so many writes of a block was undone.
    Rewind { block: u64, writes: usize },
    /// An account was edited outside any transaction.
    Account {
        address: Address,
        balance: U256,
        nonce: u64,
        code: Bytes,
    },
    /// A storage slot was edited outside any transaction.
    Slot {
        address: Address,
        slot: U256,
        value: U256,
    },
    /// The clock was moved.
    Clock(Clock),
}

/// Blocks `first..first + count` at `time`, `time + step`, ...; `hash` is the last one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EmptyRun {
    pub first: u64,
    pub time: u64,
    pub step: u64,
    pub count: u64,
    pub hash: B256,
}

impl EmptyRun {
    pub fn one(number: u64, time: u64, hash: B256) -> Self {
        Self {
            first: number,
            time,
            step: 0,
            count: 1,
            hash,
        }
    }

    /// This run with the block of `next` at its end, if that is where it belongs.
    fn extended(self, next: &Self) -> Option<Self> {
        let last = self.time + self.step * (self.count - 1);
        let step = next.time.checked_sub(last)?;
        let fits = next.count == 1
            && next.first == self.first + self.count
            && (self.count == 1 || step == self.step);
        fits.then_some(Self {
            step,
            count: self.count + 1,
            hash: next.hash,
            ..self
        })
    }
}

/// An open journal; the file is locked for as long as it lives.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// Where the last line begins.
    last_line: u64,
    end: u64,
    /// The run of empty blocks on the last line.
    run: Option<EmptyRun>,
}

impl Journal {
    /// Opens or creates a journal. Returns the chain's genesis, which is `genesis` for a new file,
    /// and what happened since.
    ///
    /// # Errors
    /// The file is in use, of another chain, or not a journal.
    pub fn open(path: &Path, genesis: Genesis) -> Result<(Self, Genesis, Vec<Entry>), StartError> {
        let failed = |source| StartError::Journal {
            path: path.to_owned(),
            source,
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => failed(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "another process has it open",
            )),
            TryLockError::Error(error) => failed(error),
        })?;
        let mut journal = Self {
            path: path.to_owned(),
            file,
            last_line: 0,
            end: 0,
            run: None,
        };
        let mut entries = journal.read()?;
        if entries.is_empty() {
            journal
                .append(&Entry::Genesis {
                    version: VERSION,
                    genesis: genesis.clone(),
                })
                .map_err(failed)?;
            return Ok((journal, genesis, Vec::new()));
        }
        match entries.remove(0) {
            Entry::Genesis {
                version: VERSION,
                genesis: found,
            } if found.chain_id == genesis.chain_id => Ok((journal, found, entries)),
            Entry::Genesis {
                version: VERSION,
                genesis: found,
            } => Err(StartError::OtherChain {
                path: path.to_owned(),
                found: found.chain_id,
                wanted: genesis.chain_id,
            }),
            Entry::Genesis { version, .. } => Err(journal.damaged(1, format!("format {version} is unknown"))),
            _ => Err(journal.damaged(1, "it does not begin with a genesis".to_owned())),
        }
    }

    /// Reads all whole lines and cuts off a torn last one.
    fn read(&mut self) -> Result<Vec<Entry>, StartError> {
        let mut text = Vec::new();
        self.file
            .read_to_end(&mut text)
            .map_err(|source| self.failed(source))?;
        let mut entries = Vec::new();
        let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        for (index, line) in lines.iter().enumerate() {
            let entry = line.strip_suffix(b"\n").map(serde_json::from_slice::<Entry>);
            match entry {
                Some(Ok(entry)) => {
                    self.run = if let Entry::Empty(run) = &entry {
                        Some(*run)
                    } else {
                        None
                    };
                    entries.push(entry);
                    self.last_line = self.end;
                    self.end += line.len() as u64;
                }
                None | Some(Err(_)) if index + 1 == lines.len() && index > 0 => {
                    tracing::warn!(path = %self.path.display(), "the journal's last line was torn and is dropped");
                }
                None => return Err(self.damaged(index + 1, "it is cut off".to_owned())),
                Some(Err(error)) => return Err(self.damaged(index + 1, error.to_string())),
            }
        }
        self.cut()?;
        Ok(entries)
    }

    /// Writes one line.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let extended = match (entry, self.run) {
            (Entry::Empty(next), Some(run)) => run.extended(next),
            _ => None,
        };
        let (at, entry) = match extended {
            Some(run) => (self.last_line, Entry::Empty(run)),
            None => (self.end, entry.clone()),
        };
        let mut line = serde_json::to_vec(&entry).map_err(io::Error::other)?;
        line.push(b'\n');
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(&line)?;
        self.last_line = at;
        self.end = at + line.len() as u64;
        self.run = if let Entry::Empty(run) = entry {
            Some(run)
        } else {
            None
        };
        Ok(())
    }

    /// Drops the last line, which turned out not to be what was written.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn drop_last_line(&mut self) -> Result<(), StartError> {
        self.end = self.last_line;
        self.run = None;
        self.cut()
    }

    /// Writes to another file from now on, for tests of what happens when that fails.
    #[cfg(test)]
    pub fn replace_file(&mut self, file: File) {
        self.file = file;
    }

    /// This journal's error about a line, counted from one.
    pub fn damaged(&self, line: usize, reason: String) -> StartError {
        StartError::Damaged {
            path: self.path.clone(),
            line,
            reason,
        }
    }

    fn cut(&mut self) -> Result<(), StartError> {
        self.file.set_len(self.end).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> StartError {
        StartError::Journal {
            path: self.path.clone(),
            source,
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Err(error) = self.file.sync_data() {
            tracing::warn!(%error, path = %self.path.display(), "the chain journal could not be synced");
        }
    }
}
