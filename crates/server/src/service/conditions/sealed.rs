//! Whether the encryption key opens what is stored.

use haithe_encryption::KeyId;
use haithe_stores::SealedSample;

/// The kinds of stored values of which none was encrypted under `key`, if any. A kind of which some values were is
/// usable: the others are left from an earlier key.
pub(super) fn foreign(samples: &[SealedSample], key: KeyId) -> Option<String> {
    let ours = |head: &Vec<u8>| KeyId::of_sealed(head) == Some(key);
    let foreign: Vec<_> = samples
        .iter()
        .filter(|sample| !sample.heads.is_empty() && !sample.heads.iter().any(ours))
        .map(|sample| sample.what)
        .collect();
    (!foreign.is_empty()).then(|| {
        format!(
            "the encryption key opens none of the stored values of these kinds: {}",
            foreign.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use haithe_encryption::{EncryptionKey, SealedBox};

    fn key(digits: &str) -> EncryptionKey {
        EncryptionKey::parse(&digits.repeat(32).into()).unwrap()
    }

    fn sealed(digits: &str) -> Vec<u8> {
        let mut sealed = SealedBox::new(&key(digits), "a test")
            .seal(b"", b"secret")
            .unwrap();
        sealed.truncate(16);
        sealed
    }

    fn sample(what: &'static str, heads: &[&str]) -> SealedSample {
        SealedSample {
            what,
            heads: heads.iter().map(|digits| sealed(digits)).collect(),
        }
    }

    #[test]
    fn a_kind_of_which_nothing_opens_is_named_even_if_others_open() {
        let own = key("07").id();
        assert_eq!(foreign(&[], own), None);
        assert_eq!(foreign(&[sample("bot tokens", &[])], own), None);
        assert_eq!(foreign(&[sample("bot tokens", &["08", "07"])], own), None);
        let samples = [
            sample("bot tokens", &["08", "09"]),
            sample("webhook secrets", &["07"]),
            sample("webhook messages", &["08"]),
        ];
        let problem = foreign(&samples, own).unwrap();
        assert!(problem.ends_with(": bot tokens, webhook messages"), "{problem}");
    }

    #[test]
    fn values_of_an_unknown_version_do_not_open() {
        let damaged = SealedSample {
            what: "bot tokens",
            heads: vec![vec![9; 16], Vec::new()],
        };
        assert!(foreign(&[damaged], key("07").id()).is_some());
    }
}
