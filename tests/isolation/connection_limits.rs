//! One client address cannot take all connections.
