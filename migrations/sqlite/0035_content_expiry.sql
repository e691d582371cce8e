-- Since when no product refers to this content, as the sweeper found; NULL while one does, or when it was
-- brought after the last sweep.
ALTER TABLE contents ADD COLUMN unreferenced_since INTEGER;
