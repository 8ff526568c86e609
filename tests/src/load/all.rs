//! Every measurement of the table in the tests' README, one after the other, each in a process of its own.
use std::{path::PathBuf, process::Stdio};

use super::options::AllOptions;

/// What is run, and whether the server is in the same process: then it gets the environment of the server's unit.
const RUNS: [(&str, bool); 14] = [
    ("--kiosks 1000 --rate 5000", false),
    ("limit", false),
    ("--kiosks 10000 --connections 50 --seconds 60 --faults 5", false),
    ("--kiosks 20000 --connections 50 --seconds 90 --faults 5", false),
    ("--kiosks 100000 --connections 100 --seconds 40", false),
    ("storm --interval 20", false),
    ("catchup", true),
    ("catchup --postgres", true),
    ("catchup --kiosks 20000 --records 100 --flapping", true),
    ("catchup --kiosks 20000 --records 100 --flapping --postgres", true),
    ("direct --kiosks 100000 --seconds 20", true),
    ("direct --kiosks 1000000 --interval 60 --seconds 30", true),
    ("direct --scale --kiosks 1000000", true),
    ("agent", false),
];

pub async fn run(options: &AllOptions) -> Result<String, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut failed = Vec::new();
    for (line, in_process) in RUNS {
        crate::demo::tell(&format!("\nkioskwatch-load {line}\n"));
        let mut run = tokio::process::Command::new(&program);
        run.args(line.split(' ')).stdin(Stdio::null());
        if in_process {
            run.env("MALLOC_ARENA_MAX", "1").env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");
        } else if line != "agent"
            && let Some(server) = &options.server
        {
            run.args([PathBuf::from("--server"), server.clone()]);
        }
        let status = run.status().await.map_err(|e| format!("{line}: {e}"))?;
        if !status.success() {
            failed.push(format!("{line}: {status}"));
        }
    }
    if failed.is_empty() { Ok(String::new()) } else { Err(failed.join("\n")) }
}
