-- How often each product was called, so that a list by calls costs what it has products and not what
-- they have days.

CREATE TABLE product_totals (
    product_id INTEGER PRIMARY KEY,
    calls INTEGER NOT NULL
) STRICT;

INSERT INTO product_totals SELECT product_id, sum(calls) FROM product_days GROUP BY product_id;

CREATE TRIGGER charge_lines_total AFTER INSERT ON charge_lines
WHEN new.item = 'product' AND new.item_id IS NOT NULL
BEGIN
    INSERT INTO product_totals VALUES (new.item_id, 1) ON CONFLICT DO UPDATE SET calls = calls + 1;
END;

-- Who uses a product; the primary key knows it the other way round.
CREATE INDEX project_products_by_product ON project_products (product_id);
