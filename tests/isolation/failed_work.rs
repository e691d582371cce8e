//! Failed extractions and fetches are remembered and not repeated for free.
