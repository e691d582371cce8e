-- What creators say about their products, which projects use them, and who waits to be let in.

CREATE TABLE product_pages (
    product_id INTEGER PRIMARY KEY REFERENCES products (id),
    description TEXT,
    photo_url TEXT
) STRICT;

CREATE TABLE project_products (
    project_id INTEGER NOT NULL REFERENCES projects (id),
    product_id INTEGER NOT NULL REFERENCES products (id),
    enabled_at INTEGER NOT NULL,
    PRIMARY KEY (project_id, product_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX products_by_price ON products (price_per_call, id) WHERE on_chain = 1;

CREATE TABLE waitlist (
    email TEXT NOT NULL PRIMARY KEY, -- lower case
    registered_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
