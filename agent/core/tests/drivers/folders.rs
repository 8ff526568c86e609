//! Every driver's folder tells the whole story: sample, README, and the table of all drivers.
use std::path::PathBuf;

use kioskwatch_agent_core::drivers::registry::{self, DRIVERS, Options};

/// Keys of a `[[peripheral]]` table that belong to no driver.
const SHARED: [&str; 8] = ["name", "kind", "driver", "mode", "port", "baud", "required", "probe_interval_s"];

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/drivers").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn samples_name_every_option_and_the_defaults() {
    for driver in DRIVERS {
        let sample: toml::Table = toml::from_str(&read(&format!("{}/sample.toml", driver.name))).unwrap();
        let tables = sample["peripheral"].as_array().unwrap();
        let table = tables[0].as_table().unwrap();
        assert_eq!(table["driver"].as_str(), Some(driver.name));
        assert_eq!(table["kind"].as_str(), Some(driver.kind));
        assert_eq!(table["baud"].as_integer(), Some(i64::from(driver.line.baud)));
        assert_eq!(table["probe_interval_s"].as_integer(), Some(i64::from(driver.probe_interval_s)));
        let options: Options = table
            .iter()
            .filter(|(key, _)| !SHARED.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), serde_json::to_value(value).unwrap()))
            .collect();
        registry::build(driver.name, &options).unwrap();
        let table_of_drivers = read("README.md");
        let row =
            table_of_drivers.lines().find(|l| l.starts_with(&format!("| [`{}`]", driver.name))).unwrap();
        for option in options.keys() {
            assert!(row.contains(&format!("`{option}`")), "{option} is not in: {row}");
        }
    }
}

#[test]
fn readmes_have_the_three_lists_and_their_sources() {
    for driver in DRIVERS {
        let readme = read(&format!("{}/README.md", driver.name));
        for part in ["**SAFE**", "**ONLY UNDER LEASE**", "**NEVER**", "## Quirks", "## Sources"] {
            assert!(readme.contains(part), "{}: no {part}", driver.name);
        }
    }
}
