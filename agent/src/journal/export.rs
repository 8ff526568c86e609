//! Reading the journal of a running or stopped agent, for a technician.
use std::{io::Write, path::Path};

use rusqlite::{Connection, OpenFlags};

use super::{
    JournalError,
    row::{RECORD_COLUMNS, RecordRow},
    store::sql,
};

/// Writes every record as one JSON line, in order, and returns how many. Takes no lock and changes nothing.
pub fn export(path: &Path, out: &mut dyn Write) -> Result<u64, JournalError> {
    let file_error = |doing: &'static str| {
        move |source| JournalError::File { doing, path: path.display().to_string(), source }
    };
    std::fs::metadata(path).map_err(file_error("reading"))?;
    // Reading a log of a crashed agent needs the right to write its shared memory.
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .or_else(|_| Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY))
        .map_err(sql("opening"))?;
    let mut statement =
        conn.prepare(&format!("SELECT {RECORD_COLUMNS} FROM record ORDER BY seq")).map_err(sql("reading"))?;
    let mut count = 0;
    for row in statement.query_map([], RecordRow::read).map_err(sql("reading"))? {
        let row =
            row.map_err(sql("reading"))?.map_err(|what| JournalError::Damaged { doing: "reading", what })?;
        writeln!(out, "{}", row.json).map_err(file_error("printing"))?;
        count += 1;
    }
    Ok(count)
}
