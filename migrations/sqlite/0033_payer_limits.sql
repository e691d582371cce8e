-- What payers accept: other organizations' projects up to a price, and a product's content as it was when
-- the product was enabled.

-- Public projects of other organizations that an organization pays for, up to a price per call that covers
-- the project and its products.
CREATE TABLE accepted_projects (
    org_id INTEGER NOT NULL REFERENCES organizations (id),
    project_id INTEGER NOT NULL REFERENCES projects (id),
    max_price INTEGER NOT NULL CHECK (max_price >= 0), -- nano-USDT
    accepted_by BLOB NOT NULL CHECK (length(accepted_by) = 20),
    accepted_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, project_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX accepted_projects_by_project ON accepted_projects (project_id);

-- A price that applies from a later moment on; both NULL when none is announced.
ALTER TABLE projects ADD COLUMN next_price_per_call INTEGER CHECK (next_price_per_call >= 0);
ALTER TABLE projects ADD COLUMN next_price_at INTEGER;

-- The content that the project accepted, as its address on chain with its SHA-256, and whether the project
-- uses whatever the creator publishes later.
ALTER TABLE project_products ADD COLUMN content_uri TEXT NOT NULL DEFAULT '';
ALTER TABLE project_products ADD COLUMN follow_updates INTEGER NOT NULL DEFAULT 0
    CHECK (follow_updates IN (0, 1));

UPDATE project_products SET content_uri = (SELECT uri FROM products WHERE products.id = product_id);

-- Why a product's content, as published now, can never be used. A row holds for one uri only.
CREATE TABLE product_faults (
    product_id INTEGER PRIMARY KEY REFERENCES products (id),
    content_uri TEXT NOT NULL,
    reason TEXT NOT NULL,
    field TEXT,
    pointer TEXT,
    found_at INTEGER NOT NULL
) STRICT;
