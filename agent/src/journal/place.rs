//! Whether a journal could be begun where the configuration says, asked without making anything.
use std::path::Path;

use rustix::fs::{Access, access};

/// A start makes what is missing of the way; whether it may is asked of what is there of it.
///
/// # Errors
/// A sentence that begins with the key.
pub fn check_place(path: &Path) -> Result<(), String> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let there = dir.ancestors().find(|part| part.exists()).unwrap_or(Path::new("."));
    let shown = path.display();
    let refused = |why: String| {
        Err(format!(
            "[journal] path: {shown} is of no use: {why}; a path that the agent can write to is right"
        ))
    };
    if path.is_dir() {
        return refused("it is a directory".to_owned());
    }
    if !there.is_dir() {
        return refused(format!("{} is no directory", there.display()));
    }
    match access(there, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Ok(()),
        Err(error) => refused(format!("this user cannot write to {} ({error})", there.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_that_could_not_be_begun_is_told_and_nothing_is_made() {
        let dir = std::env::temp_dir().join(format!("kw-place-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("file"), "").unwrap();
        check_place(&dir.join("new/journal.sqlite")).unwrap();
        check_place(Path::new("journal.sqlite")).unwrap();
        assert!(!dir.join("new").exists());
        for (path, why) in [("file/journal.sqlite", "file is no directory"), ("", "it is a directory")] {
            let told = check_place(&dir.join(path)).unwrap_err();
            assert!(told.starts_with("[journal] path: ") && told.contains(why), "{told}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
