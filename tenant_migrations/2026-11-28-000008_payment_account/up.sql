-- The provider's name of the account that takes the payment, kept before the first step is asked of it. NULL: of a release that
-- did not keep it, or not begun.
ALTER TABLE payments ADD COLUMN account text;
