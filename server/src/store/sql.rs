//! SQL texts: one body each, stamped for both databases where a list of rows comes in as JSON.
//!
//! A batch travels as one JSON array, so that a statement has one parameter and one constant text whatever
//! the number of rows; only the function that unpacks the array has another name in each database.
use sqlx::{Any, AnyConnection};

/// Which database answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backend {
    Sqlite,
    Postgres,
}

/// One statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sql {
    /// As in the first line of the text; what errors and the databases' own logs say.
    pub(super) name: &'static str,
    pub(super) sqlite: &'static str,
    pub(super) postgres: &'static str,
}

impl Backend {
    /// How a transaction that writes begins. On SQLite it takes the write lock at once: one that reads first
    /// cannot wait for it later.
    pub(super) const fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// How one begins of which every statement sees what was committed when the first began.
    pub(super) const fn begin_read(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }
}

pub(super) type Query = sqlx::query::Query<'static, Any, <Any as sqlx::Database>::Arguments>;
pub(super) type Connection = AnyConnection;

impl Sql {
    pub(super) const fn text(&self, backend: Backend) -> &'static str {
        match backend {
            Backend::Sqlite => self.sqlite,
            Backend::Postgres => self.postgres,
        }
    }

    pub(super) fn query(&self, backend: Backend) -> Query {
        sqlx::query(self.text(backend))
    }
}

/// `sql!(name, "text" ROWS "text" …)`: a statement whose parts are literals and these words:
/// `ROWS` — the rows of the JSON array `$1`, each as `value`;
/// `TEXTS` — a sub-select of the texts in the JSON array `$1`;
/// `SECOND_TEXTS` — the same of `$2`, of a statement that has two lists;
/// `AMONG_TEXTS` — that the column before it is one of those, for tables that are too large to be read whole;
/// `[columns]` — what the macro `columns!()` says;
/// `{columns, "order"}` — the same of all rows together, as one text: a JSON array of arrays. A row by itself costs
/// a walk through a channel between two threads.
macro_rules! sql {
    ($name:ident, $($part:tt)+) => {
        $crate::store::sql::Sql {
            name: stringify!($name),
            sqlite: concat!("-- ", stringify!($name), "\n", $($crate::store::sql::for_sqlite!($part)),+),
            postgres: concat!("-- ", stringify!($name), "\n", $($crate::store::sql::for_postgres!($part)),+),
        }
    };
}

/// Materialized, because `json_each` makes each row a text anew for every column that is read of it.
macro_rules! for_sqlite {
    (ROWS) => {
        "(WITH given(value) AS MATERIALIZED (SELECT value FROM json_each($1)) SELECT value FROM given)"
    };
    (TEXTS) => {
        "(SELECT value FROM json_each($1))"
    };
    (SECOND_TEXTS) => {
        "(SELECT value FROM json_each($2))"
    };
    (AMONG_TEXTS) => {
        "IN (SELECT value FROM json_each($1))"
    };
    ([$columns:ident]) => {
        $columns!()
    };
    ({$columns:ident, $order:literal}) => {
        concat!("json_group_array(json_array(", $columns!(), ") ORDER BY ", $order, ")")
    };
    ($text:literal) => {
        $text
    };
}

/// An array and no sub-select, because PostgreSQL may join a sub-select by reading the whole table, and does so
/// after a large write until it has looked at the table again: 130 ms for the evidence of one kiosk.
///
/// JSONB, because JSON is read anew for every column of every row: 3 times the time of the whole statement.
macro_rules! for_postgres {
    (ROWS) => {
        "jsonb_array_elements(CAST($1 AS JSONB)) AS json_rows(value)"
    };
    (TEXTS) => {
        "(SELECT value FROM json_array_elements_text(CAST($1 AS JSON)) AS json_texts(value))"
    };
    (SECOND_TEXTS) => {
        "(SELECT value FROM json_array_elements_text(CAST($2 AS JSON)) AS json_texts(value))"
    };
    (AMONG_TEXTS) => {
        "= ANY (ARRAY(SELECT json_array_elements_text(CAST($1 AS JSON))))"
    };
    ([$columns:ident]) => {
        $columns!()
    };
    ({$columns:ident, $order:literal}) => {
        concat!(
            "CAST(COALESCE(json_agg(json_build_array(",
            $columns!(),
            ") ORDER BY ",
            $order,
            "), '[]') AS TEXT)"
        )
    };
    ($text:literal) => {
        $text
    };
}

pub(super) use {for_postgres, for_sqlite, sql};
