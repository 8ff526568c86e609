//! The write-ahead log of an SQLite file: whether SQLite will find every commit in it.
//!
//! SQLite reads a log up to the first frame whose checksum is wrong and forgets the rest in silence. That is
//! right for a torn tail and wrong for a damaged middle; only what follows tells the two apart.
//! <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>
use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const MAGIC: u32 = 0x377f_0682;

type Sums = (u32, u32);

/// What a log says of itself.
#[derive(Debug, Clone, Copy)]
struct Header {
    big_endian: bool,
    page: u64,
    /// Every frame that counts repeats them.
    salts: [u8; 8],
    sums: Sums,
}

/// What is wrong with a log.
#[derive(Debug, Clone, Copy)]
pub(super) enum Flaw {
    /// SQLite would pass over every commit in it.
    Header,
    /// The pages of its file have another size.
    Foreign,
    /// SQLite would pass over the commits that follow: the bytes up to here are good.
    Middle { good_bytes: u64 },
}

/// Reads the header only; `page` is the size of a page of the file beside it, in bytes.
pub(super) fn look(log: &Path, page: u64) -> io::Result<Option<Flaw>> {
    Ok(header(&mut File::open(log)?, page)?.err())
}

/// Reads all of it. Nobody may write there meanwhile.
pub(super) fn walk(log: &Path, page: u64) -> io::Result<Option<Flaw>> {
    let mut log = BufReader::with_capacity(1 << 16, File::open(log)?);
    match header(&mut log, page)? {
        Ok(Some(header)) => frames(&mut log, header),
        Ok(None) => Ok(None),
        Err(flaw) => Ok(Some(flaw)),
    }
}

/// None in a log that was never written: a cut between making the file and its first block.
fn header(log: &mut impl Read, page: u64) -> io::Result<Result<Option<Header>, Flaw>> {
    let mut bytes = Vec::new();
    log.take(HEADER as u64).read_to_end(&mut bytes)?;
    if bytes.len() < HEADER || bytes.iter().all(|&byte| byte == 0) {
        return Ok(Ok(None));
    }
    let magic = number(&bytes, 0);
    let big_endian = magic & 1 == 1;
    let sums = (number(&bytes, 24), number(&bytes, 28));
    if magic & !1 != MAGIC || checksum((0, 0), &bytes[..24], big_endian) != sums {
        return Ok(Err(Flaw::Header));
    }
    if u64::from(number(&bytes, 8)) != page {
        return Ok(Err(Flaw::Foreign));
    }
    let mut salts = [0; 8];
    salts.copy_from_slice(&bytes[16..24]);
    Ok(Ok(Some(Header { big_endian, page, salts, sums })))
}

/// A commit is told of when its frames are on the disk, and only then the next one is written. So two commits in
/// one chain of checksums behind a bad frame prove that the first of them was told of, and with it the bad frame.
/// One commit alone may be what a power cut left of the last one, whose pages reach the disk in any order; or of
/// one that failed and was written over.
fn frames(log: &mut impl Read, header: Header) -> io::Result<Option<Flaw>> {
    let size = FRAME_HEADER + header.page as usize;
    let mut frame = vec![0; size];
    let mut good_bytes = HEADER as u64;
    let mut before = header.sums;
    let mut torn = false;
    let mut commits = 0;
    while read_whole(log, &mut frame)? {
        let ours = frame[8..16] == header.salts;
        let is_commit = ours && number(&frame, 4) != 0;
        let sums = (number(&frame, 16), number(&frame, 20));
        let follows = ours && {
            let sum = checksum(before, &frame[..8], header.big_endian);
            checksum(sum, &frame[FRAME_HEADER..], header.big_endian) == sums
        };
        torn |= !follows;
        if torn {
            commits = if follows { commits } else { 0 } + u32::from(is_commit);
            if commits == 2 {
                return Ok(Some(Flaw::Middle { good_bytes }));
            }
        } else {
            good_bytes += size as u64;
        }
        before = sums;
    }
    Ok(None)
}

/// False at the end of the file, also in the middle of a frame.
fn read_whole(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// Over pairs of words, in the byte order that the log's magic number tells.
fn checksum(before: Sums, bytes: &[u8], big_endian: bool) -> Sums {
    bytes.chunks_exact(8).fold(before, |(a, b), pair| {
        let word = |at: usize| {
            let four = [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
            if big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
        };
        let a = a.wrapping_add(word(0)).wrapping_add(b);
        (a, b.wrapping_add(word(4)).wrapping_add(a))
    })
}

#[cfg(test)]
mod tests {
    use sqlx::{AnyConnection, Connection as _, Executor as _};

    use super::*;

    /// Small, so that every bit of a log has its turn.
    const PAGE: u64 = 512;
    const FRAME: usize = FRAME_HEADER + PAGE as usize;
    const COMMITS: usize = 5;

    /// A log as a killed program leaves it, and which of its frames end a commit.
    async fn written() -> (Vec<u8>, Vec<bool>) {
        sqlx::any::install_default_drivers();
        let path = std::env::temp_dir().join(format!("kw-log-{}", uuid::Uuid::new_v4()));
        let url = format!("sqlite://{}?mode=rwc", path.display());
        let mut writer = AnyConnection::connect(&url).await.unwrap();
        for sql in ["PRAGMA page_size = 512", "PRAGMA journal_mode = WAL", "CREATE TABLE note (a, b)"] {
            writer.execute(sql).await.unwrap();
        }
        for _ in 1..COMMITS {
            // Of several pages each.
            writer.execute("INSERT INTO note VALUES (randomblob(300), randomblob(900))").await.unwrap();
        }
        let beside = |ending: &str| format!("{}{ending}", path.display());
        let log = std::fs::read(beside("-wal")).unwrap();
        writer.close().await.unwrap();
        for ending in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(beside(ending));
        }
        let ends: Vec<bool> = log[HEADER..].chunks_exact(FRAME).map(|frame| number(frame, 4) != 0).collect();
        assert_eq!(ends.iter().filter(|ends| **ends).count(), COMMITS);
        assert!(ends.len() > 2 * COMMITS && log.len() == HEADER + ends.len() * FRAME);
        (log, ends)
    }

    fn flaw_of(mut log: &[u8]) -> Option<Flaw> {
        match header(&mut log, PAGE).unwrap() {
            Ok(Some(header)) => frames(&mut log, header).unwrap(),
            Ok(None) => None,
            Err(flaw) => Some(flaw),
        }
    }

    /// SQLite goes on with the last commit that is whole: nothing is taken for damage.
    #[tokio::test]
    async fn a_log_cut_at_any_byte_is_only_torn() {
        let (log, _) = written().await;
        for cut in 0..=log.len() {
            let found = flaw_of(&log[..cut]);
            assert!(found.is_none(), "cut at {cut}: {found:?}");
        }
    }

    #[tokio::test]
    async fn any_bit_flipped_before_the_last_two_commits_is_found() {
        let (mut log, ends) = written().await;
        let commits_behind = |frame: usize| ends[frame + 1..].iter().filter(|ends| **ends).count();
        for bit in 0..log.len() * 8 {
            log[bit / 8] ^= 1 << (bit % 8);
            let found = flaw_of(&log);
            log[bit / 8] ^= 1 << (bit % 8);
            let Some(byte) = (bit / 8).checked_sub(HEADER) else {
                assert!(matches!(found, Some(Flaw::Header)), "bit {bit} of the header: {found:?}");
                continue;
            };
            let frame = byte / FRAME;
            match found {
                Some(Flaw::Middle { good_bytes }) => {
                    assert_eq!(good_bytes as usize, HEADER + frame * FRAME, "bit {bit}");
                }
                other => assert!(other.is_none() && commits_behind(frame) < 2, "bit {bit}: {other:?}"),
            }
        }
    }
}
