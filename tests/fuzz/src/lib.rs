//! What is fuzzed: everything that strangers' bytes reach before anybody knows who they are, what
//! providers answer, and what a model fills into a creator's tool.
//!
//! A target is a function that panics when a promise is broken. `cargo xtask fuzz` runs each under
//! libFuzzer, guided by coverage; the ordinary tests run them over the seeds in `corpus/`.

mod faults;
mod keys;
mod requests;
mod sign_in;
mod streams;
mod tokens;
mod tools;

/// A target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and its folder's in `corpus/`.
    pub name: &'static str,
    /// Panics when a promise is broken.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 7] = [
    Target {
        name: "sse",
        run: streams::run,
    },
    Target {
        name: "request",
        run: requests::run,
    },
    Target {
        name: "fault",
        run: faults::run,
    },
    Target {
        name: "api-key",
        run: keys::run,
    },
    Target {
        name: "jwt",
        run: tokens::run,
    },
    Target {
        name: "siwe",
        run: sign_in::run,
    },
    Target {
        name: "rpc-tool",
        run: tools::run,
    },
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{env, fs, path::Path};

    #[test]
    fn every_seed_keeps_the_promises() {
        let corpus = env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this");
        let corpus = Path::new(&corpus).join("corpus");
        for target in TARGETS {
            let seeds = fs::read_dir(corpus.join(target.name)).expect(target.name);
            let mut count = 0;
            for seed in seeds {
                let path = seed.unwrap().path();
                println!("{}", path.display());
                (target.run)(&fs::read(&path).unwrap());
                count += 1;
            }
            assert!(count > 0, "{} has no seeds", target.name);
            (target.run)(&[]);
        }
    }
}
