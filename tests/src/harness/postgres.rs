//! A throw-away PostgreSQL: a cluster in a temporary directory, reached through a socket in it.
//!
//! A watchdog shell waits at the other end of a pipe and removes everything when we are gone, however we went.

use std::{
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::machine::Machine;

/// Who runs the server when we are root: PostgreSQL refuses to.
const ACCOUNT: &str = "postgres";
/// `$1` pg_ctl, `$2` directory, `$3` data, then the command before pg_ctl. Reads until we are gone.
const WATCHDOG: &str = r#"pg_ctl=$1 dir=$2 data=$3; shift 3; cat >/dev/null
"$@" "$pg_ctl" stop -s -m immediate -D "$data" >/dev/null 2>&1; rm -rf "$dir""#;

static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
static DATABASES: AtomicU64 = AtomicU64::new(1);

/// One running cluster; stopped and removed when dropped.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    /// Of the socket and the log.
    directory: PathBuf,
    data: PathBuf,
    /// Of all its processes.
    env: Vec<(&'static str, String)>,
    watchdog: Child,
    pipe: Option<ChildStdin>,
}

impl Postgres {
    /// The cluster all tests of this process share; each takes a database of its own.
    pub fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(Self::start());
        *shared = Arc::downgrade(&started);
        started
    }

    /// A cluster of one's own, for tests that stop it.
    ///
    /// # Panics
    /// With what to install when this machine has no PostgreSQL.
    pub fn start() -> Self {
        let directory = fresh_directory();
        let data = directory.join("data");
        Self::start_in(directory, data, "", Vec::new())
    }

    /// The same with its data in a place that the test chose and that is made, and with further settings.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub fn start_at(data: &Path, settings: &str) -> Self {
        Self::start_in(fresh_directory(), data.to_owned(), settings, Vec::new())
    }

    /// The same on a machine whose disk can fail.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub fn start_on(machine: &Machine, data: &Path, settings: &str) -> Self {
        Self::start_in(fresh_directory(), data.to_owned(), settings, machine.env().into())
    }

    /// What a power cut left of a cluster, after the machine has started again.
    ///
    /// # Errors
    /// It does not start; with what it says.
    pub fn start_again(data: &Path) -> Result<Self, String> {
        let cluster = Self::watched(fresh_directory(), data.to_owned(), Vec::new());
        cluster.revive().map(|()| cluster)
    }

    /// Starts it once more, as a unit does whose program has ended.
    ///
    /// # Errors
    /// It does not start; with everything it has said.
    pub fn revive(&self) -> Result<(), String> {
        self.forget_locks();
        let started = self.start_command().status().is_ok_and(|status| status.success());
        if started { Ok(()) } else { Err(self.log()) }
    }

    /// Whether the first of its processes lives, whatever it makes of its children.
    pub fn is_running(&self) -> bool {
        self.main().and_then(Pid::from_raw).is_some_and(|main| !is_zombie(main))
    }

    /// What it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    fn start_in(directory: PathBuf, data: PathBuf, settings: &str, env: Vec<(&'static str, String)>) -> Self {
        let cluster = Self::watched(directory, data, env);
        if is_root() {
            let parent = cluster.data.parent().unwrap_or(&cluster.directory);
            run(Command::new("chown").arg(ACCOUNT).arg(parent));
        }
        let mut initdb = cluster.command("initdb", |c| {
            c.arg("-D").arg(&cluster.data);
            c.args(["-U", ACCOUNT, "-A", "trust", "-E", "UTF8", "--no-locale", "-N"]);
        });
        run(initdb.stdout(Stdio::null()));
        let file = cluster.data.join("postgresql.auto.conf");
        std::fs::write(file, settings).expect("the settings are written");
        cluster.resume();
        cluster
    }

    fn watched(directory: PathBuf, data: PathBuf, env: Vec<(&'static str, String)>) -> Self {
        let programs = programs();
        let mut watchdog = Command::new("sh");
        watchdog.args(["-c", WATCHDOG, "watchdog"]).arg(programs.join("pg_ctl")).arg(&directory).arg(&data);
        watchdog.args(account_prefix());
        // A process group of its own: Ctrl-C in a terminal must not end it before it has cleaned up.
        std::os::unix::process::CommandExt::process_group(&mut watchdog, 0);
        let mut watchdog = watchdog
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the shell that watches over the cluster starts");
        let pipe = watchdog.stdin.take();
        let cluster = Self { programs, directory, data, env, watchdog, pipe };
        if is_root() {
            run(Command::new("chown").arg(ACCOUNT).arg(&cluster.directory));
        }
        cluster
    }

    /// Starts it, also again after [`Self::crash`], and waits until it answers.
    pub fn resume(&self) {
        run(&mut self.start_command());
    }

    fn start_command(&self) -> Command {
        let options = format!("-c listen_addresses= -k {} -c max_connections=200", self.directory.display());
        let log = self.directory.join("log");
        self.command("pg_ctl", |c| {
            c.args(["start", "-s", "-w", "-t", "60", "-D"])
                .arg(&self.data)
                .arg("-l")
                .arg(&log)
                .arg("-o")
                .arg(&options);
        })
    }

    /// Ends it as a power cut would end the process: no goodbye to anybody.
    pub fn crash(&self) {
        let mut stop = self.command("pg_ctl", |c| {
            c.args(["stop", "-s", "-m", "immediate", "-D"]).arg(&self.data);
        });
        run(&mut stop);
    }

    /// SIGKILL of the server and of every process it has, so that nobody gets a word in.
    pub fn kill(&self) {
        let all = self.stopped();
        for &process in &all {
            let _ = kill_process(process, Signal::KILL);
        }
        // The next server refuses to start beside one of these.
        while all.iter().any(|&process| test_kill_process(process).is_ok() && !is_zombie(process)) {
            std::thread::yield_now();
        }
        self.forget_locks();
    }

    /// Nobody may have asked for the dead yet, and their numbers would be taken for a running server's; or they are of
    /// before a power cut.
    fn forget_locks(&self) {
        for lock in [self.data.join("postmaster.pid"), self.socket().with_extension("5432.lock")] {
            let _ = std::fs::remove_file(lock);
        }
    }

    /// SIGSTOP of every process it has, until [`Self::go_on`].
    pub fn pause(&self) {
        for process in self.stopped() {
            let _ = kill_process(process, Signal::STOP);
        }
    }

    pub fn go_on(&self) {
        for process in self.stopped() {
            let _ = kill_process(process, Signal::CONT);
        }
    }

    /// Every process it has, the first one stopped, so that there are no more than we see.
    fn stopped(&self) -> Vec<Pid> {
        let Some(main) = self.main() else { return Vec::new() };
        let _ = Pid::from_raw(main).map(|main| kill_process(main, Signal::STOP));
        std::iter::once(main).chain(children_of(main)).filter_map(Pid::from_raw).collect()
    }

    /// The number of its first process.
    fn main(&self) -> Option<i32> {
        let text = std::fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    /// A new, empty database.
    pub async fn fresh_database(&self) -> String {
        let name = format!("t{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let mut connection =
            PgConnection::connect(&self.url("postgres")).await.expect("the cluster takes connections");
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        connection.execute(create).await.expect("the database is made");
        connection.close().await.expect("the connection ends");
        self.url(&name)
    }

    /// Where the server listens.
    pub fn socket(&self) -> PathBuf {
        self.directory.join(".s.PGSQL.5432")
    }

    /// Of a database by name; `postgres` is there from the beginning.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{ACCOUNT}@localhost/{database}?host={}", self.directory.display())
    }

    fn command(&self, program: &str, arguments: impl FnOnce(&mut Command)) -> Command {
        let program = self.programs.join(program);
        let mut command = match account_prefix().split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            None => Command::new(program),
        };
        arguments(&mut command);
        // The account that runs it need not be allowed to stand where we stand.
        command.current_dir(&self.directory).envs(self.env.iter().cloned()).stdin(Stdio::null());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.watchdog.wait();
    }
}

#[track_caller]
fn run(command: &mut Command) {
    let status = command.status();
    assert!(status.as_ref().is_ok_and(std::process::ExitStatus::success), "{command:?}: {status:?}");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// What runs a program as the account of the Debian package.
fn account_prefix() -> &'static [&'static str] {
    if is_root() { &["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] } else { &[] }
}

/// The fields of a process after its name: state, parent, …
fn stat(process: i32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    Some(text.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect())
}

fn children_of(parent: i32) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|&id| stat(id).is_some_and(|fields| fields.get(1) == Some(&parent.to_string()))).collect()
}

/// Dead, and its parent has not asked for it yet.
fn is_zombie(process: Pid) -> bool {
    stat(process.as_raw_nonzero().get()).is_none_or(|fields| fields.first().is_some_and(|state| state == "Z"))
}

/// The newest installed version, else what is in the path.
fn programs() -> PathBuf {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = debian
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    found.sort();
    let in_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let mut candidates: Vec<PathBuf> = found.into_iter().rev().map(|(_, path)| path).collect();
    candidates.extend(in_path.unwrap_or_default());
    let complete = |path: &Path| path.join("initdb").exists() && path.join("pg_ctl").exists();
    candidates.into_iter().find(|path| complete(path)).expect(
        "these tests need PostgreSQL's initdb and pg_ctl, in /usr/lib/postgresql/*/bin or in the path: \
         `apt-get install postgresql` (the tests start a cluster of their own, no service has to run)",
    )
}

/// Short, because a socket's path has at most 107 bytes.
fn fresh_directory() -> PathBuf {
    let directory = std::env::temp_dir().join(format!("kw-pg-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir_all(&directory).expect("the temporary directory takes a new one");
    directory
}
