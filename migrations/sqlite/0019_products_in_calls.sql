-- Whether calls of a project go on without a product that cannot be loaded.
ALTER TABLE projects ADD COLUMN skip_unavailable_products INTEGER NOT NULL DEFAULT 0
    CHECK (skip_unavailable_products IN (0, 1));
