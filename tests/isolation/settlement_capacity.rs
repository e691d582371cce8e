//! A batch always fits the gas limit, and no tenant can stop settlement for another.
