ALTER TABLE payments DROP COLUMN account;
