//! A disk whose content can be looked at as a power cut would leave it.
//!
//! An ext4 file system in an image file: what the file system has handed to its device stands in the image,
//! what only the kernel's memory holds does not. A copy of the image is the disk after a cut.
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
    time::Duration,
};

use super::ballast;

/// A copy is taken again while the device was written to; a device that is never quiet is an error.
const TRIES: usize = 500;
const PAUSE: Duration = Duration::from_millis(2);

/// A mounted image; unmounted and removed when dropped.
#[derive(Debug)]
pub struct ImageDisk {
    image: PathBuf,
    path: PathBuf,
    /// `loop3`
    device: String,
}

/// The disk as a cut left it.
#[derive(Debug)]
pub struct CutImage(PathBuf);

/// A disk that is frozen.
#[derive(Debug)]
pub struct Frozen(PathBuf);

/// What all images of the tests that run at once take, with room to spare; a container's memory disk has 64 MiB.
const ROOM_MIB: u64 = 1_024;
/// The smallest disk the trial is made with: a journal of 4 MiB has to fit.
const TRIAL_MIB: u64 = 16;

/// Whether an image can be mounted here, found out by doing so: it takes root, and most containers forbid it to
/// root as well.
pub fn may_mount() -> bool {
    static TRIED: LazyLock<bool> = LazyLock::new(|| {
        let path = std::env::temp_dir().join(format!("kw-trial-{}", uuid::Uuid::new_v4().simple()));
        let works = rustix::process::geteuid().is_root() && ImageDisk::mount(&path, TRIAL_MIB).is_ok();
        let _ = fs::remove_dir(&path);
        works
    });
    *TRIED
}

/// In memory where the machine has room there: the test is about order, not about a slow disk.
fn place() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let has_room = rustix::fs::statvfs(&memory)
        .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= ROOM_MIB * 1024 * 1024);
    let dir = if has_room { memory } else { std::env::temp_dir() };
    dir.join(format!("kw-disk-{}.img", uuid::Uuid::new_v4().simple()))
}

fn run(command: &mut Command) -> io::Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(io::Error::other(format!("{command:?}: {said}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl ImageDisk {
    /// A new file system of so many MiB at `path`, for few files.
    pub fn mount(path: &Path, mib: u64) -> io::Result<Self> {
        Self::mount_for(path, mib, 512)
    }

    /// The same for so many files and directories.
    pub fn mount_for(path: &Path, mib: u64, files: u32) -> io::Result<Self> {
        let image = place();
        File::create(&image)?.set_len(mib * 1024 * 1024)?;
        let mut mkfs = Command::new("mkfs.ext4");
        // Everything is laid out now: nothing but the program writes later.
        mkfs.args(["-q", "-F", "-b", "4096", "-N", &files.to_string(), "-J", "size=4"]);
        run(mkfs.args(["-E", "lazy_itable_init=0,lazy_journal_init=0"]).arg(&image))?;
        Self::mount_image(image, path)
    }

    fn mount_image(image: PathBuf, path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let device = run(Command::new("losetup").args(["-f", "--show"]).arg(&image))?;
        let mounted = run(Command::new("mount").arg(&device).arg(path));
        // Goes with its last user; a refused mount leaves it nobody.
        run(Command::new("losetup").args(["-d", &device]))?;
        mounted?;
        let device = device.trim_start_matches("/dev/").to_owned();
        Ok(Self { image, path: path.to_owned(), device })
    }

    /// The disk as it would be found if the power went now. The writer should be stopped: a device that is
    /// written to while it is copied shows what never was.
    pub fn cut(&self) -> io::Result<CutImage> {
        let copy = CutImage(place());
        for _ in 0..TRIES {
            let before = self.written()?;
            fs::copy(&self.image, &copy.0)?;
            if before.is_some() && before == self.written()? {
                return Ok(copy);
            }
            std::thread::sleep(PAUSE);
        }
        Err(io::Error::other(format!("{} is never quiet", self.device)))
    }

    /// The power goes and comes: what only the kernel's memory held is gone. Nobody may have a file open any more.
    pub fn cut_power(&mut self) -> io::Result<()> {
        let image = self.cut()?;
        run(Command::new("umount").arg(&self.path))?;
        let before = std::mem::replace(self, image.mount(&self.path)?);
        fs::remove_file(&before.image)?;
        // It is unmounted; another one stands in its place.
        std::mem::forget(before);
        Ok(())
    }

    /// Writes the device has finished; `None` while some are under way.
    fn written(&self) -> io::Result<Option<u64>> {
        let text = fs::read_to_string(format!("/sys/block/{}/stat", self.device))?;
        let number = |index: usize| text.split_whitespace().nth(index).and_then(|word| word.parse().ok());
        match (number(4), number(8)) {
            (Some(written), Some(0_u64)) => Ok(Some(written)),
            (Some(_), Some(_)) => Ok(None),
            _ => Err(io::Error::other(format!("what is {text}?"))),
        }
    }

    /// The kernel finds the file system damaged and lets nobody write any more, as on a dying disk.
    pub fn turn_read_only(&self) -> io::Result<()> {
        run(Command::new("mount").args(["-o", "remount,errors=remount-ro"]).arg(&self.path))?;
        fs::write(format!("/sys/fs/ext4/{}/trigger_fs_error", self.device), "planted by a test")
    }

    /// Nothing is written any more and nobody is told: whoever writes waits, until this is dropped.
    pub fn freeze(&self) -> io::Result<Frozen> {
        run(Command::new("fsfreeze").arg("--freeze").arg(&self.path))?;
        Ok(Frozen(self.path.clone()))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what the kernel still holds of this disk, and of no other: another test's may be meant to forget.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(fs::File::open(&self.path)?)?)
    }

    /// See [`ballast::fill`].
    pub fn fill(&self) -> io::Result<()> {
        ballast::fill(&self.path)
    }

    /// Gives it all back.
    pub fn make_room(&self) -> io::Result<()> {
        ballast::make_room(&self.path)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = run(Command::new("fsfreeze").arg("--unfreeze").arg(&self.0));
    }
}

impl CutImage {
    /// As a machine does at its start when the file system was marked as damaged.
    pub fn repair(&self) -> io::Result<()> {
        let mut fsck = Command::new("e2fsck");
        let status =
            fsck.args(["-f", "-y"]).arg(&self.0).stdin(Stdio::null()).stdout(Stdio::null()).status()?;
        // 1: what was wrong is mended.
        if matches!(status.code(), Some(0 | 1)) { Ok(()) } else { Err(io::Error::other(status.to_string())) }
    }

    /// Power is back: mounted at `path`, where the file system first repairs itself from its journal.
    pub fn mount(self, path: &Path) -> io::Result<ImageDisk> {
        ImageDisk::mount_image(self.0.clone(), path).inspect(|_| std::mem::forget(self))
    }
}

impl Drop for CutImage {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Drop for ImageDisk {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open must not keep the mount.
        let _ = Command::new("umount").arg("-l").arg(&self.path).stderr(Stdio::null()).status();
        let _ = fs::remove_file(&self.image);
    }
}
