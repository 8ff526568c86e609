//! Every measurement of the table in the tests' README, one after the other, each in a process of its own; at the end
//! every figure that has a goal.
use std::{fmt::Write as _, path::PathBuf, process::Stdio};

use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{goal::Verdict, options::AllOptions};
use crate::demo::tell;

/// What is run, in the order of the README's table, which has the same commands; and whether the server is in the same
/// process: then it gets the environment of the server's unit.
const RUNS: [(&str, bool); 20] = [
    ("--kiosks 1000 --rate 5000", false),
    ("limit", false),
    ("--kiosks 1000 --rate 5000 --postgres", false),
    ("--kiosks 10000 --connections 50 --seconds 60 --faults 5", false),
    ("--kiosks 20000 --connections 50 --seconds 60 --faults 5", false),
    ("storm --interval 20", false),
    ("storm --tls", false),
    ("catchup", true),
    ("catchup --postgres", true),
    ("catchup --broker", false),
    ("catchup --broker --postgres", false),
    ("catchup --broker --as-agents", false),
    ("catchup --broker --as-agents --postgres", false),
    ("catchup --kiosks 10000 --records 100 --flapping", true),
    ("catchup --kiosks 10000 --records 100 --flapping --postgres", true),
    ("direct --kiosks 100000 --seconds 20", true),
    ("--kiosks 100000 --connections 100 --seconds 30", false),
    ("direct --scale --kiosks 1000000", true),
    ("direct --kiosks 1000000 --interval 60 --seconds 30", true),
    ("agent", false),
];

pub async fn run(options: &AllOptions) -> Result<String, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let (mut failed, mut figures) = (Vec::new(), Vec::new());
    for (line, in_process) in RUNS {
        tell(&format!("\nkioskwatch-load {line}\n"));
        let mut run = tokio::process::Command::new(&program);
        run.args(line.split(' ')).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        if in_process {
            run.env("MALLOC_ARENA_MAX", "1");
            run.env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=131072");
        } else if line != "agent"
            && let Some(server) = &options.server
        {
            run.args([PathBuf::from("--server"), server.clone()]);
        }
        let mut run = run.spawn().map_err(|e| format!("{line}: {e}"))?;
        if let Some(told) = run.stdout.take() {
            let mut told = BufReader::new(told).lines();
            while let Some(figure) = told.next_line().await.map_err(|e| format!("{line}: {e}"))? {
                tell(&format!("{figure}\n"));
                figures.extend(Verdict::of_line(&figure).map(|verdict| (line, figure, verdict)));
            }
        }
        let status = run.wait().await.map_err(|e| format!("{line}: {e}"))?;
        if !status.success() {
            failed.push(format!("{line}: {status}"));
        }
    }
    let table = table(&figures);
    if failed.is_empty() { Ok(table) } else { Err(format!("{table}\n{}", failed.join("\n"))) }
}

/// Every line with a goal under the command that printed it. What is not reached is no failure of the run.
fn table(figures: &[(&str, String, Verdict)]) -> String {
    let mut text = String::from("\nEvery figure that has a goal\n");
    let mut last = "";
    for (command, figure, _) in figures {
        // Writing to a String cannot fail.
        if *command != last {
            let _ = writeln!(text, "{command}");
        }
        last = command;
        let _ = writeln!(text, "  {}", figure.trim());
    }
    let all = |of: fn(&Verdict) -> usize| figures.iter().map(|(_, _, verdict)| of(verdict)).sum::<usize>();
    let (reached, missed) = (all(|verdict| verdict.reached), all(|verdict| verdict.missed));
    let _ = writeln!(text, "{reached} goals are reached, {missed} are NOT REACHED");
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Parser as _;

    use super::{super::options::Options, *};

    #[test]
    fn each_run_is_a_line_that_the_program_understands() {
        for (line, _) in RUNS {
            let asked = std::iter::once("kioskwatch-load").chain(line.split(' '));
            Options::try_parse_from(asked).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    /// The commands in the last column of the README's table of figures.
    fn commands_of_the_readme() -> BTreeSet<&'static str> {
        let readme = include_str!("../../README.md");
        let (_, measured) = readme.split_once("\n### Measured\n").expect("the section");
        let rows = measured.lines().skip_while(|line| !line.starts_with("|---"));
        let rows = rows.skip(1).take_while(|line| line.starts_with('|'));
        let last_cells = rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
        let commands = last_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
        let commands = commands.filter(|command| !command.starts_with("cargo "));
        commands.map(|command| command.split(" --server ").next().unwrap_or_default()).collect()
    }

    #[test]
    fn the_readmes_table_has_a_row_for_each_run_and_no_other() {
        let runs: BTreeSet<_> = RUNS.into_iter().map(|(line, _)| line).collect();
        assert_eq!(runs.len(), RUNS.len());
        assert_eq!(commands_of_the_readme(), runs);
    }

    #[test]
    fn the_table_names_each_command_once_and_counts_goals() {
        let lines = [
            ("limit", "  what fell behind first: the broker"),
            ("storm", "  server memory  61.0 MiB at most (goal at most 60: NOT REACHED)"),
            ("agent", "  memory 5.8 MiB (goal at most 6: reached)"),
            ("agent", "  p50 (goal at most 10: reached), p99 (goal at most 50: NOT REACHED)"),
        ];
        let figures: Vec<_> = lines
            .into_iter()
            .filter_map(|(command, line)| Some((command, line.to_owned(), Verdict::of_line(line)?)))
            .collect();
        let table = table(&figures);
        assert_eq!(table.matches("\nagent\n").count(), 1, "{table}");
        assert!(!table.contains("limit"), "{table}");
        assert!(table.ends_with("\n2 goals are reached, 2 are NOT REACHED\n"), "{table}");
    }
}
