//! Draws from `faults.toml` the few facts that an agent decides by: reading the whole file at its every start
//! would take more memory than all the rest of the agent.
use std::{env, error::Error, fmt::Write as _, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=faults.toml");
    let catalogue: toml::Table = fs::read_to_string("faults.toml")?.parse()?;
    let faults = catalogue.get("fault").and_then(toml::Value::as_array).ok_or("faults.toml: no [[fault]]")?;
    let mut lines = faults.iter().map(line).collect::<Result<Vec<_>, _>>()?;
    // Looked up by halving.
    lines.sort_unstable();
    let mut table = String::from("&[\n");
    for line in lines {
        writeln!(table, "{line},")?;
    }
    table.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR: cargo did not set it")?);
    Ok(fs::write(out.join("weights.rs"), table)?)
}

/// `("paper_out", Weight { … })`.
fn line(fault: &toml::Value) -> Result<String, String> {
    let wrong = |key: &str| format!("faults.toml: {key} of {fault}");
    let text = |key| fault.get(key).and_then(toml::Value::as_str).ok_or_else(|| wrong(key));
    let stops = fault.get("stops_peripheral").and_then(toml::Value::as_bool);
    let stops = stops.ok_or_else(|| wrong("stops_peripheral"))?;
    let (code, severity) = (text("code")?, text("severity")?);
    let severity = match severity {
        "info" => "Info",
        "minor" => "Minor",
        "major" => "Major",
        _ => return Err(wrong("severity")),
    };
    Ok(format!("({code:?}, Weight {{ severity: Severity::{severity}, stops_peripheral: {stops} }})"))
}
