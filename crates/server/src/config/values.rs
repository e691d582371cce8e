//! Forms that settings take. Each parser says what is allowed and never repeats a secret.

use super::{
    database::{DatabaseUrl, PostgresUrl},
    sections::SearchEngineName,
};
use haithe_kernel::{Decimals, Usdt, WalletAddress};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de::Error};
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};
use url::Url;

fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    String::deserialize(from).map_err(|_| D::Error::custom("must be text in quotes"))
}

fn number<'de, D: Deserializer<'de>>(from: D, least: u64, most: u64) -> Result<u64, D::Error> {
    let refusal = || D::Error::custom(format!("must be a whole number from {least} to {most}"));
    let number = u64::deserialize(from).map_err(|_| refusal())?;
    if (least..=most).contains(&number) {
        Ok(number)
    } else {
        Err(refusal())
    }
}

/// A whole number within bounds.
pub(super) fn within<'de, const LEAST: u64, const MOST: u64, N, D>(from: D) -> Result<N, D::Error>
where
    N: TryFrom<u64>,
    D: Deserializer<'de>,
{
    let number = number(from, LEAST, MOST)?;
    N::try_from(number)
        .map_err(|_| D::Error::custom(format!("must be a whole number from {LEAST} to {MOST}")))
}

/// Seconds, one to a day.
pub(super) fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    number(from, 1, 86_400).map(Duration::from_secs)
}

/// Days: one to ten years.
pub(super) fn days<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    number(from, 1, 3_650).map(|days| Duration::from_secs(days * 24 * 60 * 60))
}

/// Hours up to a year; 0 disables the limit.
pub(super) fn optional_hours<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let hours = number(from, 0, 8_760)?;
    Ok((hours > 0).then(|| Duration::from_secs(hours * 60 * 60)))
}

/// A file, or none where the text is empty.
pub(super) fn optional_path<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    let path = text(from)?;
    Ok((!path.is_empty()).then(|| PathBuf::from(path)))
}

/// Seconds up to `MOST`; 0 is none.
pub(super) fn optional_seconds<'de, const MOST: u64, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Duration>, D::Error> {
    let seconds = number(from, 0, MOST)?;
    Ok((seconds > 0).then(|| Duration::from_secs(seconds)))
}

/// Seconds up to `MOST`, 0 included.
pub(super) fn seconds_or_none<'de, const MOST: u64, D: Deserializer<'de>>(
    from: D,
) -> Result<Duration, D::Error> {
    number(from, 0, MOST).map(Duration::from_secs)
}

/// The address of a database: `sqlite://` and a file, relative or absolute, or a URL of PostgreSQL.
pub(super) fn database_url<'de, D: Deserializer<'de>>(from: D) -> Result<DatabaseUrl, D::Error> {
    const WANTED: &str = "sqlite:// and a file, such as sqlite://haithe.db or sqlite:///var/lib/haithe.db, or \
                          postgres://user:password@host:port/database";
    let url = text(from)?;
    let refused = || D::Error::custom(format!("must be {WANTED}"));
    match url.split_once(':') {
        Some(("sqlite", rest)) => {
            let file = rest.strip_prefix("//").unwrap_or(rest);
            let file = file.split_once('?').map_or(file, |(file, _)| file);
            if file.is_empty() || file.contains(":memory:") {
                return Err(refused());
            }
            Ok(DatabaseUrl::Sqlite(PathBuf::from(file)))
        }
        Some(("postgres" | "postgresql", _)) => {
            let url = Url::parse(&url).ok().and_then(PostgresUrl::new);
            url.map(DatabaseUrl::Postgres).ok_or_else(refused)
        }
        Some((scheme, _)) => Err(D::Error::custom(format!(
            "has the unknown scheme `{scheme}`: must be {WANTED}"
        ))),
        None => Err(refused()),
    }
}

/// Milliseconds, ten to a minute.
pub(super) fn milliseconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    number(from, 10, 60_000).map(Duration::from_millis)
}

/// An address to listen on, or nothing.
pub(super) fn optional_socket<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = text(from)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| D::Error::custom("must be an address and a port such as 127.0.0.1:9090, or empty"))
}

/// A search engine, or nothing.
pub(super) fn search_engine<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<SearchEngineName>, D::Error> {
    match text(from)?.as_str() {
        "" => Ok(None),
        "searxng" => Ok(Some(SearchEngineName::SearXng)),
        "brave" => Ok(Some(SearchEngineName::Brave)),
        "tavily" => Ok(Some(SearchEngineName::Tavily)),
        _ => Err(D::Error::custom("must be searxng, brave or tavily, or empty")),
    }
}

/// A secret of any form, or nothing.
pub(super) fn secret_text<'de, D: Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
    text(from).map(SecretString::from)
}

/// At least 32 bytes (RFC 7518 §3.2).
pub(super) fn jwt_secret<'de, D: Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
    let secret = text(from)?;
    if secret.len() < 32 {
        return Err(D::Error::custom(
            "must be 32 bytes or more; `haithe keygen` prints a fresh one",
        ));
    }
    Ok(SecretString::from(secret))
}

/// 32 bytes of hex.
pub(super) fn private_key<'de, D: Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
    key(&text(from)?, "a private key").map_err(D::Error::custom)
}

/// Several of them.
pub(super) fn private_keys<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<SecretString>, D::Error> {
    let keys: Vec<String> =
        Vec::deserialize(from).map_err(|_| D::Error::custom("must be a list of private keys"))?;
    keys.iter()
        .map(|text| key(text, "a list of private keys").map_err(D::Error::custom))
        .collect()
}

/// 32 bytes of hex.
pub(super) fn encryption_key<'de, D: Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
    key(&text(from)?, "a key").map_err(D::Error::custom)
}

fn key(text: &str, what: &str) -> Result<SecretString, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(format!(
            "must be {what}: 64 hexadecimal digits, with or without 0x; `haithe keygen` prints fresh ones",
        ));
    }
    Ok(SecretString::from(digits.to_ascii_lowercase()))
}

fn http_url(text: &str) -> Option<Url> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// An http or https address that may carry an access key.
pub(super) fn secret_url<'de, D: Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
    let url = text(from)?;
    http_url(&url)
        .map(|url| SecretString::from(url.to_string()))
        .ok_or_else(|| D::Error::custom("must be the http:// or https:// address of an Ethereum node"))
}

/// An http or https address, or nothing.
pub(super) fn optional_url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Url>, D::Error> {
    let url = text(from)?;
    if url.is_empty() {
        return Ok(None);
    }
    http_url(&url)
        .map(Some)
        .ok_or_else(|| D::Error::custom("must be an http:// or https:// address, or empty"))
}

/// An http or https address.
pub(super) fn url<'de, D: Deserializer<'de>>(from: D) -> Result<Url, D::Error> {
    http_url(&text(from)?).ok_or_else(|| D::Error::custom("must be an http:// or https:// address"))
}

/// What a browser sends as `Origin`: scheme and authority, nothing behind them.
pub(super) fn origin<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = text(from)?;
    parse_origin(&text).map_err(D::Error::custom)
}

/// See [`origin`].
pub(super) fn origins<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let texts: Vec<String> =
        Vec::deserialize(from).map_err(|_| D::Error::custom("must be a list of origins"))?;
    texts
        .iter()
        .map(|text| parse_origin(text).map_err(D::Error::custom))
        .collect()
}

fn parse_origin(text: &str) -> Result<String, String> {
    http_url(text)
        .map(|url| url.origin().ascii_serialization())
        .filter(|origin| origin == text)
        .ok_or_else(|| format!("{text:?} must be an origin such as https://app.example, without a path"))
}

/// RFC 3986 authority as a wallet shows it.
pub(super) fn authority<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = text(from)?;
    let whole = Url::parse(&format!("https://{text}/")).ok().filter(|url| {
        url.username().is_empty() && url.path() == "/" && url.query().is_none() && url.fragment().is_none()
    });
    match whole {
        Some(_) if !text.is_empty() && !text.contains(['/', '@']) => Ok(text),
        _ => Err(D::Error::custom(
            "must be a host with an optional port, such as app.example or localhost:3000",
        )),
    }
}

/// A contract's address.
pub(super) fn address<'de, D: Deserializer<'de>>(from: D) -> Result<WalletAddress, D::Error> {
    let address: Option<WalletAddress> = text(from)?.parse().ok();
    address.filter(|address| !address.is_zero()).ok_or_else(|| {
        D::Error::custom(
            "must be the contract's address, 0x and 40 hexadecimal digits; `haithe chain deploy` prints it",
        )
    })
}

/// The payment token's decimals.
pub(super) fn decimals<'de, D: Deserializer<'de>>(from: D) -> Result<Decimals, D::Error> {
    let digits: u8 = within::<6, 18, _, D>(from)?;
    Decimals::new(digits).map_err(D::Error::custom)
}

/// A decimal number of USDT in quotes, zero or above.
pub(super) fn amount_or_zero<'de, D: Deserializer<'de>>(from: D) -> Result<Usdt, D::Error> {
    let amount: Option<Usdt> = text(from)?.parse().ok();
    amount.filter(|amount| *amount >= Usdt::ZERO).ok_or_else(|| {
        D::Error::custom("must be a decimal number of USDT in quotes, such as \"0.001\"; \"0\" disables it")
    })
}

/// A decimal number of USDT in quotes, above zero.
pub(super) fn amount<'de, D: Deserializer<'de>>(from: D) -> Result<Usdt, D::Error> {
    let amount: Option<Usdt> = text(from)?.parse().ok();
    amount
        .filter(|amount| *amount > Usdt::ZERO)
        .ok_or_else(|| D::Error::custom("must be a decimal number of USDT in quotes, such as \"12.5\""))
}

/// An address to listen on.
pub(super) fn ip<'de, D: Deserializer<'de>>(from: D) -> Result<IpAddr, D::Error> {
    text(from)?
        .parse()
        .map_err(|_| D::Error::custom("must be an IP address, such as 127.0.0.1 or 0.0.0.0"))
}

/// Addresses or networks in CIDR notation.
pub(super) fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<ipnet::IpNet>, D::Error> {
    let texts: Vec<String> =
        Vec::deserialize(from).map_err(|_| D::Error::custom("must be a list of addresses or networks"))?;
    let parse = |text: &String| {
        let network = text.parse::<ipnet::IpNet>().ok();
        network
            .or_else(|| text.parse::<IpAddr>().ok().map(ipnet::IpNet::from))
            .ok_or_else(|| {
                D::Error::custom(format!(
                    "{text:?} must be an address or a network such as 10.0.0.0/8"
                ))
            })
    };
    texts.iter().map(parse).collect()
}
