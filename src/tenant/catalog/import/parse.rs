//! From bytes to rows: the file is read record by record, never as a whole.

use std::io::{BufRead, BufReader, Read};

use super::error::RowErrorCode;
use super::model::{OnInvalidIsbn, Row, RowError};
use super::repair::{authors, decode, filled, isbn, whole_number};
use crate::kernel::money::{Currency, Money};
use crate::kernel::partial_date::PartialDate;
use crate::kernel::text::{fold, tidy};
use crate::tenant::catalog::authors::model::NAME_LEN_MAX;
use crate::tenant::catalog::books::model::{AUTHORS_MAX, STOCK_MAX, TITLE_LEN_MAX};
use crate::tenant::catalog::books::validate;
use crate::tenant::catalog::names::KEY_BYTES_MAX;

/// A column that is understood, and the names it goes by, folded.
const COLUMNS: &[(Column, &[&str])] = &[
    (Column::Title, &["title", "book title"]),
    (Column::OriginalTitle, &["original title"]),
    (Column::Authors, &["authors", "author"]),
    (Column::Isbn, &["isbn", "isbn10", "isbn 10"]),
    (Column::Isbn13, &["isbn13", "isbn 13", "ean"]),
    (Column::Year, &["original publication year", "publication year", "published year", "year"]),
    (Column::Language, &["language code", "language"]),
    (Column::Category, &["category"]),
    (Column::Price, &["price"]),
    (Column::Currency, &["currency"]),
    (Column::Stock, &["stock", "quantity"]),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Title,
    OriginalTitle,
    Authors,
    Isbn,
    Isbn13,
    Year,
    Language,
    Category,
    Price,
    Currency,
    Stock,
}

/// The file as a whole cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// No column of the header holds titles.
    #[error("the header has no column `title`")]
    NoTitleColumn,
    /// Two columns hold the same.
    #[error("the header has two columns for `{0}`")]
    RepeatedColumn(String),
    /// Reading failed.
    #[error("the file cannot be read: {0}")]
    Unreadable(String),
}

/// Reads rows, one after the other.
pub struct Rows<R: Read> {
    reader: csv::Reader<BufReader<Lines<R>>>,
    record: csv::ByteRecord,
    /// The header's texts.
    header: Vec<String>,
    /// Where each known column is.
    places: Vec<(Column, usize)>,
    currency: Currency,
    on_invalid_isbn: OnInvalidIsbn,
}

impl<R: Read> Rows<R> {
    /// Reads the header. Commas, semicolons and tabs are told apart by which of them it has most.
    ///
    /// # Errors
    /// The header names no title, or the same thing twice.
    pub fn new(file: R, currency: Currency, on_invalid_isbn: OnInvalidIsbn) -> Result<Self, FileError> {
        let unreadable = |error: &dyn std::fmt::Display| FileError::Unreadable(error.to_string());
        let mut file = BufReader::new(Lines::new(file));
        let start = file.fill_buf().map_err(|error| unreadable(&error))?;
        let first_line = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let count = |delimiter: u8| first_line.iter().filter(|&&byte| byte == delimiter).count();
        let delimiter = [b'\t', b';', b','].into_iter().max_by_key(|&delimiter| count(delimiter)).unwrap_or(b',');
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(file);
        let header: Vec<String> =
            reader.byte_headers().map_err(|error| unreadable(&error))?.iter().map(|cell| tidy(&decode(cell))).collect();

        let mut places: Vec<(Column, usize)> = Vec::new();
        for (index, name) in header.iter().enumerate() {
            let folded = fold(name);
            let known = COLUMNS.iter().find(|(_, names)| names.contains(&folded.as_str()));
            let Some(&(column, _)) = known else { continue };
            if places.iter().any(|(seen, _)| *seen == column) {
                return Err(FileError::RepeatedColumn(name.clone()));
            }
            places.push((column, index));
        }
        if !places.iter().any(|(column, _)| matches!(column, Column::Title | Column::OriginalTitle)) {
            return Err(FileError::NoTitleColumn);
        }
        Ok(Self { reader, record: csv::ByteRecord::new(), header, places, currency, on_invalid_isbn })
    }

    /// The next record, understood or rejected; `None` at the end. Records without any text are passed over.
    ///
    /// # Errors
    /// Reading failed.
    pub fn next_row(&mut self) -> Result<Option<Result<Row, RowError>>, FileError> {
        loop {
            let is_read = self.reader.read_byte_record(&mut self.record);
            if !is_read.map_err(|error| FileError::Unreadable(error.to_string()))? {
                return Ok(None);
            }
            if self.record.iter().any(|cell| !cell.trim_ascii().is_empty()) {
                return Ok(Some(self.row()));
            }
        }
    }

    fn row(&self) -> Result<Row, RowError> {
        if self.record.len() != self.header.len() {
            let message = format!("The record has {} cells, the header {}.", self.record.len(), self.header.len());
            return Err(self.error(None, RowErrorCode::RowMalformed, message));
        }
        let title = self.cell(Column::Title).or_else(|| self.cell(Column::OriginalTitle)).ok_or_else(|| {
            self.error(Some(Column::Title), RowErrorCode::TitleInvalid, "There is no title.".to_owned())
        })?;
        let (title, title_key) = validate::title(&title).map_err(|_| {
            let message = format!("The title has more than {TITLE_LEN_MAX} characters.");
            self.error(Some(Column::Title), RowErrorCode::TitleInvalid, message)
        })?;
        Ok(Row {
            line: self.line(),
            title,
            title_key,
            authors: self.authors()?,
            isbn13: self.isbn()?,
            category_key: self.cell(Column::Category).map(|name| fold(&name)),
            price: self.price()?,
            language: self.parsed(Column::Language, RowErrorCode::LanguageInvalid, |text| {
                text.parse().map_err(|error| format!("`{text}`: {error}."))
            })?,
            published_on: self.parsed(Column::Year, RowErrorCode::PublishedOnInvalid, |text| {
                let year = whole_number(text).ok_or_else(|| format!("`{text}` is not a year."))?;
                PartialDate::new(year, None, None).map_err(|error| format!("`{text}`: {error}."))
            })?,
            stock: self.parsed(Column::Stock, RowErrorCode::StockInvalid, |text| {
                let copies = whole_number(text).filter(|copies| (0..=STOCK_MAX).contains(copies));
                copies.ok_or_else(|| format!("`{text}` is not a number of copies from 0 to {STOCK_MAX}."))
            })?,
        })
    }

    fn authors(&self) -> Result<Vec<(String, String)>, RowError> {
        let authors = authors(&self.cell(Column::Authors).unwrap_or_default());
        let is_too_long =
            |(name, key): &(String, String)| name.chars().count() > NAME_LEN_MAX || key.len() > KEY_BYTES_MAX;
        if authors.len() > AUTHORS_MAX || authors.iter().any(is_too_long) {
            let message =
                format!("A book has at most {AUTHORS_MAX} authors with names of at most {NAME_LEN_MAX} characters.");
            return Err(self.error(Some(Column::Authors), RowErrorCode::AuthorsInvalid, message));
        }
        Ok(authors)
    }

    fn isbn(&self) -> Result<Option<crate::kernel::isbn::Isbn13>, RowError> {
        let (short, long) = (self.cell(Column::Isbn), self.cell(Column::Isbn13));
        match isbn(short.as_deref(), long.as_deref()) {
            Ok(isbn13) => Ok(isbn13),
            Err(_) if self.on_invalid_isbn == OnInvalidIsbn::Drop => Ok(None),
            Err(error) => {
                let column = if short.is_some() { Column::Isbn } else { Column::Isbn13 };
                let text = short.or(long).unwrap_or_default();
                Err(self.error(Some(column), RowErrorCode::IsbnInvalid, format!("`{text}`: {error}.")))
            }
        }
    }

    fn price(&self) -> Result<Option<Money>, RowError> {
        let currency = self.currency.code();
        if let Some(text) = self.cell(Column::Currency)
            && text != currency
        {
            let message = format!("The shop trades in {currency}, not in `{text}`.");
            return Err(self.error(Some(Column::Currency), RowErrorCode::CurrencyMismatch, message));
        }
        self.parsed(Column::Price, RowErrorCode::PriceInvalid, |text| {
            Money::parse(text, self.currency).map_err(|error| format!("`{text}`: {error}."))
        })
    }

    /// A cell's value, `None` where it is empty.
    fn parsed<T>(
        &self,
        column: Column,
        code: RowErrorCode,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, RowError> {
        let Some(text) = self.cell(column) else { return Ok(None) };
        parse(&text).map(Some).map_err(|message| self.error(Some(column), code, message))
    }

    fn place(&self, column: Column) -> Option<usize> {
        self.places.iter().find(|(known, _)| *known == column).map(|(_, place)| *place)
    }

    fn cell(&self, column: Column) -> Option<String> {
        filled(&decode(self.record.get(self.place(column)?)?))
    }

    /// The line on which the record starts. The library's own position is before any blank lines, so it is counted back
    /// from the end, which is always a line's.
    fn line(&self) -> i64 {
        let within = self.record.as_slice().iter().filter(|&&byte| byte == b'\n').count();
        let behind = i64::try_from(self.reader.position().line()).unwrap_or(i64::MAX);
        behind - 1 - i64::try_from(within).unwrap_or(0)
    }

    fn error(&self, column: Option<Column>, code: RowErrorCode, message: String) -> RowError {
        let column_name =
            column.and_then(|column| self.place(column)).and_then(|place| self.header.get(place).cloned());
        RowError { line: self.line(), column_name, code: code.as_str().to_owned(), message }
    }
}

/// Makes every line of a file end with a line feed alone, the last one too, so that lines can be counted.
struct Lines<R> {
    file: R,
    after_return: bool,
    last: u8,
}

impl<R: Read> Lines<R> {
    fn new(file: R) -> Self {
        Self { file, after_return: false, last: b'\n' }
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let read = self.file.read(buffer)?;
            if read == 0 {
                let is_open = self.last != b'\n' && !buffer.is_empty();
                if is_open {
                    (buffer[0], self.last) = (b'\n', b'\n');
                }
                return Ok(usize::from(is_open));
            }
            let mut kept = 0;
            for index in 0..read {
                let byte = buffer[index];
                let is_second_half = byte == b'\n' && self.after_return;
                self.after_return = byte == b'\r';
                if !is_second_half {
                    buffer[kept] = if byte == b'\r' { b'\n' } else { byte };
                    kept += 1;
                }
            }
            // A buffer that held nothing but the second half of a line's end is not the end of the file.
            if kept > 0 {
                self.last = buffer[kept - 1];
                return Ok(kept);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(csv: &[u8]) -> Result<Vec<Result<Row, RowError>>, FileError> {
        let mut rows = Rows::new(csv, "EUR".parse().unwrap(), OnInvalidIsbn::Reject)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next_row()? {
            all.push(row);
        }
        Ok(all)
    }

    #[test]
    fn separators_and_a_byte_order_mark_are_found() {
        for csv in ["title,stock\nEmma,3\n", "title;stock\r\nEmma;3\r\n", "\u{feff}title\tstock\nEmma\t3"] {
            let rows = read(csv.as_bytes()).unwrap();
            let row = rows[0].as_ref().unwrap();
            assert_eq!((row.title.as_str(), row.stock, row.line), ("Emma", Some(3), 2), "{csv:?}");
        }
    }

    #[test]
    fn lines_are_counted_whatever_ends_them() {
        for csv in
            ["title\n\n\"a\nb\"\n\n\nEmma\n", "title\r\n\r\n\"a\r\nb\"\r\n\r\n\r\nEmma", "title\r\r\"a\rb\"\r\r\rEmma"]
        {
            let lines: Vec<_> = read(csv.as_bytes()).unwrap().into_iter().map(|row| row.unwrap().line).collect();
            assert_eq!(lines, [3, 7], "{csv:?}");
        }
    }

    #[test]
    fn a_file_without_titles_is_refused() {
        assert_eq!(read(b"").unwrap_err(), FileError::NoTitleColumn);
        assert_eq!(read(b"isbn,price\n1,2\n").unwrap_err(), FileError::NoTitleColumn);
        assert_eq!(read(b"title,Title\na,b\n").unwrap_err(), FileError::RepeatedColumn("Title".to_owned()));
    }

    #[test]
    fn a_rejected_record_names_line_column_and_reason() {
        let csv = "Title,ISBN,Year,Price,Currency,Stock,Language\n\
                   ,,,,,,\n\
                   \"Two\nlines\",,,,,,\n\
                   Emma,439023484,,,,,\n\
                   Emma,,MMXX,,,,\n\
                   Emma,,,9.999,,,\n\
                   Emma,,,9.99,USD,,\n\
                   Emma,,,,,-1,\n\
                   Emma,,,,,,elvish\n\
                   Emma,x\n\
                   NaN,,,1.00,,,\n";
        let found: Vec<_> = read(csv.as_bytes())
            .unwrap()
            .into_iter()
            .map(|row| row.map(|row| row.title).map_err(|e| (e.line, e.column_name.unwrap_or_default(), e.code)))
            .collect();
        let error = |line, column: &str, code: &str| Err((line, column.to_owned(), code.to_owned()));
        assert_eq!(
            found,
            [
                Ok("Two lines".to_owned()),
                error(5, "ISBN", "ISBN_INVALID"),
                error(6, "Year", "PUBLISHED_ON_INVALID"),
                error(7, "Price", "PRICE_INVALID"),
                error(8, "Currency", "CURRENCY_MISMATCH"),
                error(9, "Stock", "STOCK_INVALID"),
                error(10, "Language", "LANGUAGE_INVALID"),
                error(11, "", "ROW_MALFORMED"),
                error(12, "Title", "TITLE_INVALID"),
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_parser_fall_over(bytes: Vec<u8>) {
            let mut csv = b"title,authors,isbn,isbn13,year,language,price,stock\n".to_vec();
            csv.extend(bytes);
            let _ = read(&csv);
        }
    }
}
