//! Rows on their way in (JSON arrays) and out (columns in the order of the SELECT).
use std::{borrow::Cow, fmt, hash::Hash, str::FromStr};

use kioskwatch_proto::Timestamp;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use sqlx::{Column, Row as _, any::AnyRow};

use super::{StoreError, sql::Sql};

/// A row that `commit` writes.
pub(super) trait Stored: Clone {
    const TABLE: &'static str;
    /// Takes a JSON array of rows as `$1`.
    const WRITE: Sql;
    /// The same for rows of which none is stored yet, for less: it does not look, and fails where one is.
    const NEW: Option<Sql> = None;
    /// Runs before [`Self::WRITE`] with the same rows, for what they mean to another table.
    const ELSEWHERE: Option<Sql> = None;
    /// For rows that never change: gives the text columns `id` of those in `$1` that are stored with other content.
    const CLASH: Option<Sql> = None;
    /// What makes two rows the same; a batch holds it once.
    type Key<'a>: Hash + Eq
    where
        Self: 'a;

    /// `None`: every row is its own.
    fn key(&self) -> Option<Self::Key<'_>>;

    /// Two rows of one batch with the same key become one; the later one wins unless the table says otherwise.
    fn join<'a>(_earlier: &Self, later: &'a Self) -> Result<Cow<'a, Self>, StoreError> {
        Ok(Cow::Borrowed(later))
    }

    /// Puts the rows of a batch into an order in which the table's own rules hold at every step.
    fn arrange(_rows: &mut [Cow<'_, Self>]) {}

    /// Those that may be stored already, and those that hardly are; asked where there is a [`Self::NEW`].
    fn apart<'a>(rows: Vec<Cow<'a, Self>>) -> (Vec<Cow<'a, Self>>, Vec<Cow<'a, Self>>) {
        (Vec::new(), rows)
    }

    /// Writes the columns in the order in which [`Self::WRITE`] reads them.
    fn encode(&self, row: &mut RowWriter<'_>) -> Result<(), StoreError>;
}

/// A row that reads give.
pub(super) trait Loaded: Sized {
    const TABLE: &'static str;
    fn decode(row: &mut RowReader<'_>) -> Result<Self, StoreError>;
}

/// PostgreSQL has no NUL in text and SQLite would cut there: both get the replacement character.
pub(super) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// As `TEXTS` takes them.
pub(super) fn text_array(texts: &[&str]) -> String {
    serde_json::Value::from(texts).to_string()
}

/// Of a column that always has a value.
const NOTHING: &str = "there is nothing in it";

/// Writes one row as a JSON array.
pub(super) struct RowWriter<'a> {
    json: &'a mut Vec<u8>,
    table: &'static str,
    /// 1, 2, 3 … within the statement.
    place: u64,
    first: bool,
}

impl<'a> RowWriter<'a> {
    pub(super) fn begin(json: &'a mut Vec<u8>, table: &'static str, place: u64) -> Self {
        json.push(b'[');
        Self { json, table, place, first: true }
    }

    pub(super) fn end(self) {
        self.json.push(b']');
    }

    fn separate(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.json.push(b',');
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.separate();
        // Writing a text into memory has no way to fail.
        let _ = serde_json::to_writer(&mut *self.json, &storable(text));
    }

    pub(super) fn display(&mut self, value: &impl std::fmt::Display) {
        self.text(&value.to_string());
    }

    pub(super) fn int(&mut self, value: i64) {
        self.separate();
        let _ = serde_json::to_writer(&mut *self.json, &value);
    }

    /// A count of ours that may be above what a column holds.
    pub(super) fn count(&mut self, column: &'static str, value: u64) -> Result<(), StoreError> {
        let fits =
            i64::try_from(value).map_err(|_| StoreError::TooLarge { table: self.table, column, value })?;
        self.int(fits);
        Ok(())
    }

    pub(super) fn opt_count(&mut self, column: &'static str, value: Option<u64>) -> Result<(), StoreError> {
        match value {
            Some(value) => self.count(column, value),
            None => {
                self.null();
                Ok(())
            }
        }
    }

    /// Where the row stands in its statement, for rows that are numbered as they come.
    pub(super) fn place(&mut self) {
        self.int(self.place.cast_signed());
    }

    pub(super) fn time(&mut self, at: Timestamp) {
        self.int(at.ms());
    }

    pub(super) fn opt_time(&mut self, at: Option<Timestamp>) {
        self.opt_int(at.map(Timestamp::ms));
    }

    pub(super) fn opt_int(&mut self, value: Option<i64>) {
        match value {
            Some(value) => self.int(value),
            None => self.null(),
        }
    }

    pub(super) fn opt_text(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.null(),
        }
    }

    pub(super) fn opt_display(&mut self, value: Option<&impl std::fmt::Display>) {
        match value {
            Some(value) => self.display(value),
            None => self.null(),
        }
    }

    fn null(&mut self) {
        self.separate();
        self.json.extend_from_slice(b"null");
    }
}

/// One column of one of many rows that come in one text. Most texts are read once, where they stand.
#[derive(Debug)]
pub(super) enum Cell<'a> {
    Null,
    Int(i64),
    Text(Cow<'a, str>),
    /// Of no column of ours.
    Fraction,
}

impl<'de> Deserialize<'de> for Cell<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, an integer or null")
    }

    fn visit_unit<E>(self) -> Result<Cell<'de>, E> {
        Ok(Cell::Null)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Cell<'de>, E> {
        Ok(Cell::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Cell<'de>, E> {
        i64::try_from(value).map(Cell::Int).map_err(E::custom)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Cell<'de>, E> {
        Ok(Cell::Fraction)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Owned(text.to_owned())))
    }
}

/// The columns of one row, as they come.
#[derive(Clone, Copy)]
enum Cells<'a> {
    Row(&'a AnyRow),
    /// Of many rows in one text.
    Json(&'a [Cell<'a>]),
}

impl<'a> Cells<'a> {
    fn text(&self, index: usize) -> Result<Option<Cow<'a, str>>, String> {
        match *self {
            Self::Row(row) => {
                let text: Result<Option<String>, _> = row.try_get(index);
                text.map(|text| text.map(Cow::Owned)).map_err(|e| e.to_string())
            }
            Self::Json(cells) => match cells.get(index) {
                Some(Cell::Text(text)) => Ok(Some(Cow::Borrowed(text))),
                Some(Cell::Null) => Ok(None),
                other => Err(format!("{other:?} is no text")),
            },
        }
    }

    fn int(&self, index: usize) -> Result<Option<i64>, String> {
        match self {
            Self::Row(row) => row.try_get(index).map_err(|e| e.to_string()),
            Self::Json(cells) => match cells.get(index) {
                Some(Cell::Null) => Ok(None),
                Some(Cell::Int(number)) => Ok(Some(*number)),
                other => Err(format!("{other:?} is no integer")),
            },
        }
    }

    fn name(&self, index: usize) -> String {
        let name = match self {
            Self::Row(row) => row.columns().get(index).map(|column| column.name().to_owned()),
            Self::Json(_) => None,
        };
        name.unwrap_or_else(|| format!("number {}", index + 1))
    }
}

/// Reads the columns of one row from left to right.
pub(super) struct RowReader<'a> {
    cells: Cells<'a>,
    table: &'static str,
    next: usize,
}

impl<'a> RowReader<'a> {
    pub(super) fn new(row: &'a AnyRow, table: &'static str) -> Self {
        Self { cells: Cells::Row(row), table, next: 0 }
    }

    pub(super) fn of_json(cells: &'a [Cell<'a>], table: &'static str) -> Self {
        Self { cells: Cells::Json(cells), table, next: 0 }
    }

    /// The row is known by its first column.
    pub(super) fn senseless(&self, what: String) -> StoreError {
        let id = self.cells.text(0).ok().flatten().unwrap_or_else(|| "?".into());
        StoreError::Inconsistent { table: self.table, id: id.into_owned(), what }
    }

    fn column(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    fn bad(&self, index: usize, what: &dyn std::fmt::Display) -> StoreError {
        self.senseless(format!("column {}: {what}", self.cells.name(index)))
    }

    fn opt_letters(&mut self) -> Result<Option<Cow<'a, str>>, StoreError> {
        let index = self.column();
        self.cells.text(index).map_err(|e| self.bad(index, &e))
    }

    fn letters(&mut self) -> Result<Cow<'a, str>, StoreError> {
        self.opt_letters()?.ok_or_else(|| self.bad(self.next - 1, &NOTHING))
    }

    pub(super) fn opt_text(&mut self) -> Result<Option<String>, StoreError> {
        Ok(self.opt_letters()?.map(Cow::into_owned))
    }

    pub(super) fn text(&mut self) -> Result<String, StoreError> {
        self.letters().map(Cow::into_owned)
    }

    pub(super) fn opt_int(&mut self) -> Result<Option<i64>, StoreError> {
        let index = self.column();
        self.cells.int(index).map_err(|e| self.bad(index, &e))
    }

    pub(super) fn int(&mut self) -> Result<i64, StoreError> {
        let index = self.column();
        let int = self.cells.int(index).map_err(|e| self.bad(index, &e))?;
        int.ok_or_else(|| self.bad(index, &NOTHING))
    }

    /// An integer in the range of `T`.
    pub(super) fn number<T: TryFrom<i64>>(&mut self) -> Result<T, StoreError> {
        let value = self.int()?;
        T::try_from(value).map_err(|_| self.bad(self.next - 1, &format_args!("{value} is out of range")))
    }

    pub(super) fn opt_number<T: TryFrom<i64>>(&mut self) -> Result<Option<T>, StoreError> {
        let Some(value) = self.opt_int()? else { return Ok(None) };
        T::try_from(value)
            .map(Some)
            .map_err(|_| self.bad(self.next - 1, &format_args!("{value} is out of range")))
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, StoreError> {
        self.int().map(Timestamp)
    }

    pub(super) fn opt_time(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.opt_int()?.map(Timestamp))
    }

    /// A word of one of our enums, or a name with a constructor that may refuse.
    pub(super) fn word<T>(&mut self, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, StoreError> {
        let text = self.letters()?;
        parse(&text)
            .ok_or_else(|| self.bad(self.next - 1, &format_args!("{text:?} is no word of this column")))
    }

    pub(super) fn opt_word<T>(
        &mut self,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        let Some(text) = self.opt_letters()? else { return Ok(None) };
        let word = parse(&text);
        word.map(Some)
            .ok_or_else(|| self.bad(self.next - 1, &format_args!("{text:?} is no word of this column")))
    }

    pub(super) fn id<T: FromStr>(&mut self) -> Result<T, StoreError> {
        self.word(|text| text.parse().ok())
    }

    pub(super) fn opt_id<T: FromStr>(&mut self) -> Result<Option<T>, StoreError> {
        self.opt_word(|text| text.parse().ok())
    }
}
