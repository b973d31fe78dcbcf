DROP TABLE deprecated_usage;
