-- The request that the event is of: its id and trace context, for what is sent of it later. NULL: of a release that did not keep
-- it, or of nobody's request. Nothing personal.
ALTER TABLE events ADD COLUMN cause jsonb;
