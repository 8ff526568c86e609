//! A journal for which there is no room on the disk: kept in memory, it knows what the file can still say of the run
//! before and of commands, and writes nothing. The agent lives with it as on any full disk, until there is room.
use rusqlite::Connection;

use super::{
    JournalConfig, JournalError,
    open::fresh_state,
    salvage::{self, Saved},
    store::{Store, sql},
    turn::Turn,
};

/// Its numbers are of an epoch of its own: nobody may take it for the file.
pub(super) fn open(config: &JournalConfig) -> Result<Store, JournalError> {
    let mut conn = Connection::open_in_memory().map_err(sql("opening"))?;
    let state = fresh_state();
    Store::create(&mut conn, &state)?;
    let mut store = Store { conn, config: config.clone(), state, first: 1, roomless: false };
    let saved = salvage::read(&config.path);
    store.in_transaction(|turn| remember(turn, &saved))?;
    store.roomless = true;
    Ok(store)
}

/// Not its records: those wait in the file, and go into the next one.
fn remember(turn: &mut Turn<'_>, saved: &Saved) -> Result<(), JournalError> {
    salvage::carry_commands(turn, saved)?;
    if let Some(old) = &saved.state {
        salvage::carry_state(turn, old);
    }
    Ok(())
}
