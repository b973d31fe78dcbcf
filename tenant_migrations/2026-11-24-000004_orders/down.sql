DROP TABLE payments;
DROP TABLE order_lines;
DROP TABLE orders;
DROP TABLE customers;
ALTER TABLE books DROP COLUMN reserved, DROP COLUMN sold;
