//! A caller that disconnects pays for the input that the provider processed.
