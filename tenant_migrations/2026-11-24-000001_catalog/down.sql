DROP TABLE import_row_errors;
DROP TABLE imports;
DROP TABLE book_authors;
DROP TABLE books;
DROP TABLE categories;
DROP TABLE authors;
DROP TABLE users;
DROP TABLE tenant_head;
