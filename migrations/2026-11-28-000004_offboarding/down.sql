DROP TABLE control.offboardings;
