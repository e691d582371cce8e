//! Product content is pinned when it is enabled and checked before it is published.
