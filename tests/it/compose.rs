//! The compose file and what it mounts fit together: every name in one is a file, a service or a path of another.
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use crate::deploy::{Scratch, after, deploy, succeeds, texts};

/// A file or folder of ours at a place in a container.
#[derive(Debug)]
struct Mount {
    from: String,
    to: String,
}

/// Each service of the compose file with what is mounted into it from beside the file, not from volumes.
fn services() -> BTreeMap<String, Vec<Mount>> {
    let text = std::fs::read_to_string(deploy().join("compose/compose.yaml")).unwrap();
    let (_, services) = text.split_once("\nservices:\n").unwrap();
    let (services, _) = services.split_once("\nvolumes:\n").unwrap();
    let mut found: BTreeMap<String, Vec<Mount>> = BTreeMap::new();
    let mut service = String::new();
    for line in services.lines() {
        if let Some(name) = line.strip_prefix("  ").and_then(|rest| rest.strip_suffix(':'))
            && !name.starts_with([' ', '#'])
        {
            name.clone_into(&mut service);
            found.entry(service.clone()).or_default();
        }
        let line = line.trim();
        let line = line.strip_prefix("volumes: [").and_then(|rest| rest.strip_suffix(']')).unwrap_or(line);
        let mount = line.strip_prefix("- ").unwrap_or(line).split(':').collect::<Vec<_>>();
        if let [from, to, ..] = mount.as_slice()
            && from.starts_with('.')
        {
            let mount = Mount { from: (*from).to_owned(), to: (*to).to_owned() };
            found.get_mut(&service).unwrap().push(mount);
        }
    }
    found
}

#[test]
fn everything_that_is_mounted_is_there_and_can_only_be_read() {
    let text = std::fs::read_to_string(deploy().join("compose/compose.yaml")).unwrap();
    let made = Scratch::new();
    // As the first lines of the file say it.
    assert!(text.contains("certificates certificates init mosquitto "));
    succeeds(Command::new(deploy().join("mosquitto/certificates")).arg(&made.0).args(["init", "mosquitto"]));
    let mounts: Vec<Mount> = services().into_values().flatten().collect();
    assert!(mounts.len() > 15, "{mounts:?}");
    for Mount { from, to } in mounts {
        let path = match from.strip_prefix("./certificates/") {
            Some(name) => Path::new(&made.path(name)).to_owned(),
            None => deploy().join("compose").join(&from),
        };
        assert!(path.exists(), "{from} is mounted and not there");
        assert!(text.contains(&format!("{from}:{to}:ro")), "{from} can be written from inside");
    }
}

#[test]
fn containers_call_each_other_by_names_that_exist() {
    let services = services();
    let prometheus = std::fs::read_to_string(deploy().join("compose/prometheus.yml")).unwrap();
    let mut called: Vec<&str> = after(&prometheus, "- targets:");
    assert_eq!(called.len(), 2, "the server, and Alertmanager: {called:?}");
    let text = std::fs::read_to_string(deploy().join("compose/compose.yaml")).unwrap();
    for variable in
        ["KIOSKWATCH_PROMETHEUS:", "KIOSKWATCH_POSTGRES:", "PGHOST:", "KIOSKWATCH__MQTT__URL: mqtts://"]
    {
        let of = after(&text, variable);
        assert!(!of.is_empty(), "{variable}");
        called.extend(of);
    }
    for name in called {
        let name = name.trim_matches(['[', ']']).split(':').next().unwrap();
        assert!(services.contains_key(name), "nobody is called {name}: {:?}", services.keys());
    }
    let of = |service: &str| services[service].iter().map(|mount| mount.to.as_str()).collect::<BTreeSet<_>>();
    assert!(of("alertmanager").contains("/etc/alertmanager/alertmanager.yml"), "it would notify nobody");
    // Rules stand beside the configuration, as it names them.
    assert!(prometheus.contains("rule_files:\n  - rules/*.yml"));
    assert!(
        of("prometheus").is_superset(&["/etc/prometheus/prometheus.yml", "/etc/prometheus/rules"].into())
    );
}

#[test]
fn grafana_finds_each_folder_of_dashboards_where_it_is_mounted() {
    let mounts = &services()["grafana"];
    let place = |folder: &str| {
        let mount = mounts.iter().find(|mount| mount.from == format!("../grafana/{folder}"));
        mount.unwrap_or_else(|| panic!("{folder} is not mounted: {mounts:?}")).to.as_str()
    };
    assert_eq!(place("provisioning"), "/etc/grafana/provisioning");
    let providers = texts("grafana/provisioning/dashboards", ".yaml");
    let paths: BTreeSet<_> = providers.values().flat_map(|text| after(text, "path:")).collect();
    assert_eq!(paths, [place("dashboards"), place("dashboards-postgres")].into());
    // What the sources leave to the environment is set.
    let text = std::fs::read_to_string(deploy().join("compose/compose.yaml")).unwrap();
    for source in texts("grafana/provisioning/datasources", ".yaml").into_values() {
        for variable in source.split("${").skip(1).map(|rest| rest.split('}').next().unwrap()) {
            assert!(text.contains(&format!("\n      {variable}: ")), "{variable} is not set");
        }
    }
}

/// Seconds are summed and then divided: a mean of ratios is another number.
#[test]
fn no_figure_is_ever_a_mean_of_ratios() {
    let mut texts: BTreeMap<String, String> = texts("prometheus/rules", ".yml");
    for (folder, ending) in [
        ("grafana/dashboards", ".json"),
        ("grafana/dashboards-postgres", ".json"),
        ("../server/migrations", ".sql"),
    ] {
        texts.extend(self::texts(folder, ending));
    }
    assert!(texts.len() > 25, "{:?}", texts.keys());
    for (name, text) in texts {
        assert!(!averages(&text), "{name} averages");
    }
}

/// Whether a text of PromQL, SQL or a panel asks for a mean. `histogram_avg` is no way around it.
fn averages(text: &str) -> bool {
    let text = text.to_lowercase();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.into_iter().any(|word| word == "mean" || word.split('_').any(|part| part == "avg"))
}

#[test]
fn a_mean_is_found_however_it_is_asked_for() {
    for text in ["avg by (id) (x)", "avg_over_time(x[1h])", "SELECT AVG(ratio)", "\"calcs\": [\"mean\"]"] {
        assert!(averages(text), "{text}");
    }
    assert!(!averages("sum(up_s) / sum(of_s) AS average_of_nothing, meaning"));
}
