//! The test command itself: what a machine did not let a test do stands in its last lines, and fails nothing.
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use kioskwatch_tests::harness::server::Workdir;

/// In place of cargo: of all tests one is run, where there is nothing to mount with.
const CARGO: &str = r#"#!/bin/sh
[ "$1" = test ] || exit 0
PATH=/nowhere "$TESTS" --exact power::a_server_whose_disk_forgets_is_found_out || exit 1
exit "$ENDS_WITH"
"#;
const NOTHING: &str = "#!/bin/sh\n";

/// Whether it succeeded, and its last lines.
fn run(cargo: &str, ends_with: &str) -> (bool, String) {
    let place = Workdir::new("kioskwatch-it").unwrap();
    // What this machine has not got is not installed by a test.
    for (name, text) in [("cargo", cargo), ("apt-get", NOTHING), ("sudo", NOTHING)] {
        let path = place.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", place.path().display(), std::env::var("PATH").unwrap());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("run");
    let mut command = Command::new(script);
    command.env("PATH", path).env("TESTS", std::env::current_exe().unwrap()).env("ENDS_WITH", ends_with);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let end = out.rsplit("\n\n").next().unwrap().to_owned();
    (output.status.success(), end)
}

#[test]
fn what_could_not_be_tested_stands_at_the_end_and_fails_nothing() {
    const TEST: &str =
        "not tested here: power::a_server_whose_disk_forgets_is_found_out: mounting takes root";
    let (green, end) = run(CARGO, "0");
    assert!(green && end.starts_with(TEST) && end.contains("\n== green, but"), "{end}");
    let (green, end) = run(CARGO, "1");
    assert!(!green && end.starts_with(TEST) && end.ends_with("\n== failed\n"), "{end}");
    let (green, end) = run(NOTHING, "0");
    assert!(green && end == "== all green\n", "{end}");
}
