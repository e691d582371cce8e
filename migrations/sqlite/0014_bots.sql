-- Tokens with which a project's bots log in, sealed (crates/sqlite/src/sealed.rs).

ALTER TABLE projects ADD COLUMN teloxide_token BLOB;
ALTER TABLE projects ADD COLUMN discord_token BLOB;
