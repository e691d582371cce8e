//! How a project uses a product, as the audit of its organization says it.

use haithe_kernel::Usdt;
use std::fmt;

/// How a project uses a product, and what the product costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductUse {
    /// The price of a call in force; `None` when it is beyond our range.
    pub price_per_call: Option<Usdt>,
    /// Whether the project uses whatever the creator publishes.
    pub follow_updates: bool,
    /// The address of the content that the project accepted.
    pub content: String,
}

impl fmt::Display for ProductUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.price_per_call {
            Some(price) => write!(f, "price_per_call_usdt={price}")?,
            None => f.write_str("price_per_call_usdt=unknown")?,
        }
        write!(
            f,
            " follow_updates={} content={}",
            self.follow_updates, self.content
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audit_names_price_and_content() {
        let mut used = ProductUse {
            price_per_call: Some(Usdt::from_nano(1_500_000_000)),
            follow_updates: true,
            content: "https://example.com/a".to_owned(),
        };
        assert_eq!(
            used.to_string(),
            "price_per_call_usdt=1.5 follow_updates=true content=https://example.com/a"
        );
        used.price_per_call = None;
        assert!(used.to_string().starts_with("price_per_call_usdt=unknown "));
    }
}
