//! haithe-llm-providers
