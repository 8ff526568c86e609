//! A file that leaves nobody else any room.
use std::{fs, io, io::Write as _, path::Path};

const NAME: &str = "ballast";

/// Takes every byte that is left on the file system whose directory this is. What its kernel has promised to others
/// and not yet laid out counts as theirs: so often until nothing more is given.
pub(super) fn fill(directory: &Path) -> io::Result<()> {
    let mut ballast = fs::OpenOptions::new().create(true).append(true).open(directory.join(NAME))?;
    loop {
        let before = ballast.metadata()?.len();
        for block in [vec![0_u8; 64 * 1024], vec![0_u8; 512]] {
            loop {
                match ballast.write_all(&block) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                    Err(error) => return Err(error),
                }
            }
        }
        ballast.sync_all()?;
        if ballast.metadata()?.len() == before {
            return Ok(());
        }
    }
}

/// Gives it all back.
pub(super) fn make_room(directory: &Path) -> io::Result<()> {
    fs::remove_file(directory.join(NAME))
}
