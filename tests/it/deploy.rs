//! What lies in `deploy/` is tried with the real tools: Mosquitto, promtool, openssl, systemd-analyze.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::Duration,
};

use serde_json::Value;

/// What a tool may need on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy")
}

/// The files of a folder with this ending, with their text.
pub(crate) fn texts(folder: &str, ending: &str) -> BTreeMap<String, String> {
    let found: BTreeMap<_, _> = fs::read_dir(deploy().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .map(|path| {
            (path.file_stem().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap())
        })
        .collect();
    assert!(!found.is_empty(), "deploy/{folder} has no {ending}");
    found
}

/// A folder of this test, away when it is over.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("kioskwatch-deploy-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[track_caller]
pub(crate) fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}{err}");
    output
}

fn promtool(arguments: &[&str], files: impl IntoIterator<Item = PathBuf>) {
    succeeds(Command::new("promtool").args(arguments).args(files));
}

fn paths(folder: &str, ending: &str) -> Vec<PathBuf> {
    texts(folder, ending).into_keys().map(|stem| deploy().join(folder).join(stem + ending)).collect()
}

/// What follows `marker` on each line that has it, without quotes.
pub(crate) fn after<'a>(text: &'a str, marker: &str) -> Vec<&'a str> {
    let value = |line: &'a str| line.trim().strip_prefix(marker).map(|rest| rest.trim().trim_matches('"'));
    text.lines().filter_map(value).collect()
}

/// Every metric that a PromQL text names, histograms by their family.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    text.split(|c: char| !is_part(c))
        .filter(|word| word.contains("kioskwatch_"))
        .map(|word| {
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
            family.unwrap_or(word).to_owned()
        })
        .collect()
}

/// Names in quotes in the server's metrics, and the names that the recording rules give.
fn known_metrics() -> BTreeSet<String> {
    let folder = deploy().parent().unwrap().join("server/src/metrics");
    let mut known: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .flat_map(|code| {
            code.split('"')
                .filter(|part| part.starts_with("kioskwatch_"))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(known.contains("kioskwatch_kiosks"), "the server's metrics are elsewhere now");
    known.extend(
        after(&texts("prometheus/rules", ".yml")["recording"], "- record:").into_iter().map(str::to_owned),
    );
    known
}

#[track_caller]
fn all_known(place: &str, text: &str) {
    let unknown: Vec<_> = metrics_in(text).difference(&known_metrics()).cloned().collect();
    assert!(unknown.is_empty(), "{place} names metrics that the server does not have: {unknown:?}");
}

#[test]
fn the_rules_are_right_and_pass_their_tests() {
    promtool(&["check", "config"], [deploy().join("prometheus/prometheus.yml")]);
    promtool(&["check", "config"], [deploy().join("compose/prometheus.yml")]);
    promtool(&["check", "rules"], paths("prometheus/rules", ".yml"));
    promtool(&["test", "rules"], paths("prometheus/tests", ".yml"));
}

#[test]
fn every_alert_has_a_test_and_a_page_and_no_page_is_left_over() {
    let rules = texts("prometheus/rules", ".yml");
    let tests: String = texts("prometheus/tests", ".yml").into_values().collect();
    let alerts: BTreeSet<_> = rules.values().flat_map(|text| after(text, "- alert:")).collect();
    for alert in &alerts {
        assert!(
            rules["alerts"].contains(&format!("runbook_url: runbooks/{alert}.md")),
            "{alert} names no page"
        );
        assert!(is_expected(&tests, alert), "{alert} has no test that expects it");
    }
    let pages = texts("runbooks", ".md");
    assert_eq!(pages.keys().map(String::as_str).collect::<BTreeSet<_>>(), alerts);
    for (name, page) in pages {
        for part in ["What it means", "Who is affected", "First steps", "It is over when"] {
            assert!(page.contains(&format!("\n## {part}\n")), "runbooks/{name}.md lacks {part:?}");
        }
        all_known(&format!("runbooks/{name}.md"), &page);
    }
}

/// Whether a test waits for the alert: `exp_alerts` with something in it, before the next name.
fn is_expected(tests: &str, alert: &str) -> bool {
    let of = tests.split("alertname: ").skip(1).filter(|test| test.lines().next() == Some(alert));
    of.flat_map(|test| test.split_once("exp_alerts:")).any(|(_, expected)| {
        ["- exp_labels:", "[{"].iter().any(|begin| expected.trim_start().starts_with(begin))
    })
}

#[test]
fn a_test_that_expects_no_alert_is_no_test_of_the_alert() {
    let of = |expected: &str| {
        format!("- eval_time: 1m\n  alertname: A\n  exp_alerts:{expected}\n  alertname: B\n")
    };
    assert!(is_expected(&of("\n    - exp_labels: {}"), "A"));
    assert!(!is_expected(&of(" []"), "A") && !is_expected(&of(""), "A") && !is_expected(&of(" [{}]"), "B"));
}

#[test]
fn rules_name_only_metrics_that_exist() {
    for (name, text) in texts("prometheus/rules", ".yml") {
        let is_prose = |line: &&str| line.trim().starts_with('#') || line.contains("- name: kioskwatch_");
        let code: Vec<_> = text.lines().filter(|line| !is_prose(line)).collect();
        all_known(&format!("prometheus/rules/{name}.yml"), &code.join("\n"));
    }
}

/// Every value of `key`, wherever it stands.
fn values<'a>(tree: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match tree {
        Value::Object(map) => {
            found.extend(map.get(key));
            map.values().for_each(|value| values(value, key, found));
        }
        Value::Array(list) => list.iter().for_each(|value| values(value, key, found)),
        _ => {}
    }
}

pub(crate) fn strings<'a>(tree: &'a Value, key: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    values(tree, key, &mut found);
    found.into_iter().filter_map(Value::as_str).collect()
}

#[test]
fn dashboards_ask_for_what_exists_in_words_prometheus_understands() {
    let scratch = Scratch::new();
    let mut asked = String::from("groups:\n  - name: dashboards\n    rules:\n");
    let mut uids = BTreeSet::new();
    let sources = texts("grafana/provisioning/datasources", ".yaml");
    let sources: BTreeSet<_> = sources.values().flat_map(|text| after(text, "uid:")).collect();
    let (now, history) =
        (texts("grafana/dashboards", ".json"), texts("grafana/dashboards-postgres", ".json"));
    for (name, text) in now.iter().chain(&history) {
        let board: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}.json: {error}"));
        assert!(board["schemaVersion"].as_u64() >= Some(41), "{name}.json");
        assert!(uids.insert(board["uid"].as_str().unwrap().to_owned()), "{name}.json repeats a uid");
        assert!(board["title"].as_str().unwrap().contains(" / "), "{name}.json: a title in both languages");
        for panel in board["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            assert!(title.contains(" / "), "{name}.json: {title}");
            let asks = strings(panel, "expr").len() + strings(panel, "rawSql").len();
            assert!(asks > 0, "{name}.json: {title} asks for nothing");
        }
        let mut found = Vec::new();
        values(&board, "datasource", &mut found);
        for source in found {
            let uid = source["uid"].as_str().unwrap();
            assert!(sources.contains(uid), "{name}.json asks {uid}, which nobody provides");
            let postgres = uid == "kioskwatch-postgres";
            assert!(!postgres || history.contains_key(name), "{name}.json must work without PostgreSQL");
        }
        let expressions = strings(&board, "expr");
        all_known(&format!("{name}.json"), &expressions.join("\n"));
        let queries = strings(&board, "definition");
        all_known(
            &format!("{name}.json"),
            &queries.into_iter().filter(|q| q.starts_with("label_values")).collect::<Vec<_>>().join("\n"),
        );
        for expression in expressions {
            let expression = expression.replace("$__rate_interval", "1m").replace(['$'], "");
            asked.push_str(&format!("      - record: asked\n        expr: {}\n", Value::from(expression)));
        }
    }
    let file = scratch.path("asked.yml");
    fs::write(&file, asked).unwrap();
    promtool(&["check", "rules"], [PathBuf::from(file)]);
}

#[test]
fn the_units_are_understood_and_let_little_through() {
    let scratch = Scratch::new();
    for unit in ["kioskwatch-server.service", "kioskwatch-agent.service"] {
        let text = fs::read_to_string(deploy().join("systemd").join(unit)).unwrap();
        // The program is not installed where this is tested; everything else is read as it stands.
        let program = after(&text, "ExecStart=")[0];
        fs::write(scratch.path(unit), text.replace(program, "/bin/true")).unwrap();
        let dir = scratch.path(&format!("{unit}.d"));
        fs::create_dir_all(&dir).unwrap();
        let short = unit.trim_start_matches("kioskwatch-").trim_end_matches(".service");
        let analyze = || Command::new("systemd-analyze");
        if analyze().arg("--version").output().is_err() {
            // No systemd on this machine: nothing here can read its units.
            return;
        }
        succeeds(analyze().args(["security", "--offline=true", "--threshold=20"]).arg(scratch.path(unit)));
        for (name, drop_in) in texts("systemd/drop-ins", ".conf") {
            if name.starts_with(short) {
                fs::write(Path::new(&dir).join(name + ".conf"), drop_in).unwrap();
            }
        }
        let output = succeeds(analyze().args(["verify", "--man=no"]).arg(scratch.path(unit)));
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!complaints.contains("kioskwatch"), "{complaints}");
    }
}

/// A Mosquitto with the files of `deploy/mosquitto`, changed only in ports and paths.
struct Broker {
    process: Child,
    files: Scratch,
    log: mpsc::Receiver<String>,
    kiosks: u16,
    servers: u16,
}

impl Broker {
    fn start() -> Self {
        let files = Scratch::new();
        let certificates = |arguments: &[&str]| {
            let script = deploy().join("mosquitto/certificates");
            succeeds(Command::new(script).arg(&files.0).args(arguments));
        };
        certificates(&["init"]);
        certificates(&["kiosk", "K-0001", "K-0002", "K-0003", "kioskwatch-server"]);
        certificates(&["revoke", "K-0003"]);
        for acl in ["acl-kiosks", "acl-servers"] {
            fs::copy(deploy().join("mosquitto").join(acl), files.path(acl)).unwrap();
        }
        // Both at once, so that they differ.
        let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [kiosks, servers] = free.map(|listener| listener.local_addr().unwrap().port());
        let config = fs::read_to_string(deploy().join("mosquitto/mosquitto.conf")).unwrap();
        let config = config
            .replace("/etc/mosquitto/kioskwatch", &files.path(""))
            .replace("listener 8883\n", &format!("listener {kiosks} 127.0.0.1\n"))
            .replace("listener 8884\n", &format!("listener {servers} 127.0.0.1\n"));
        // Started by root it would become another user, who cannot read these files.
        fs::write(files.path("mosquitto.conf"), config + "\nuser root\n").unwrap();
        let program = ["/usr/sbin/mosquitto", "mosquitto"].into_iter().find(|p| Path::new(p).exists());
        let mut process = Command::new(program.unwrap_or("mosquitto"))
            .args(["-v", "-c", &files.path("mosquitto.conf")])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let (told, log) = mpsc::channel();
        // Somebody must go on reading, or a full pipe stops it.
        std::thread::spawn(move || lines.for_each(|line| drop(told.send(line))));
        let broker = Self { process, files, log, kiosks, servers };
        broker.wait_until_it_says("running");
        broker
    }

    fn wait_until_it_says(&self, words: &str) {
        while !self.log.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {words:?}")).contains(words) {}
    }

    fn client(&self, program: &str, port: u16, name: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["-V", "5", "-q", "1", "-h", "localhost", "-p", &port.to_string()]);
        command.args(["--cafile", &self.files.path("server-ca.pem")]);
        command.args(["--cert", &self.files.path(&format!("{name}.pem"))]);
        command.args(["--key", &self.files.path(&format!("{name}.key"))]);
        command
    }

    /// Whether the broker lets `name` publish. A refusal is told to MQTT 5 clients as a warning.
    fn lets_publish(&self, port: u16, name: &str, topic: &str) -> bool {
        let mut command = self.client("mosquitto_pub", port, name);
        let output = command.args(["-t", topic, "-m", &format!("{name} on {topic}")]).output().unwrap();
        output.status.success() && !String::from_utf8_lossy(&output.stderr).contains("Not authorized")
    }

    /// Subscribes and, once that is granted, gives what arrives.
    fn listen(&self, port: u16, name: &str, topics: &[&str]) -> Listener {
        let mut command = self.client("mosquitto_sub", port, name);
        command.args(["-W", "20"]);
        for topic in topics {
            command.args(["-t", topic]);
        }
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        self.wait_until_it_says("Sending SUBACK");
        Listener { process, lines }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

struct Listener {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Listener {
    fn next(&mut self) -> String {
        self.lines.next().expect("nothing arrived").unwrap()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn topic(kiosk: &str, channel: &str) -> String {
    let id = kiosk.parse().unwrap();
    let channel = kioskwatch_proto::topic::Channel::ALL.iter().find(|c| c.as_str() == channel).unwrap();
    kioskwatch_proto::topic::Topic::new(id, *channel).to_string()
}

#[test]
fn a_kiosk_speaks_for_itself_and_for_nobody_else() {
    let broker = Broker::start();
    let mut server = broker.listen(broker.servers, "server", &["kiosk/v1/#"]);
    let kiosk = |topic: &str| broker.lets_publish(broker.kiosks, "kiosks/K-0001", topic);
    for channel in ["presence", "inventory", "heartbeat", "journal", "progress", "artifact"] {
        let own = topic("K-0001", channel);
        assert!(!kiosk(&topic("K-0002", channel)), "K-0001 may write the {channel} of K-0002");
        assert!(kiosk(&own), "K-0001 may not write its {channel}");
        // What was refused did not arrive: the next message is the one that was allowed.
        assert_eq!(server.next(), format!("kiosks/K-0001 on {own}"));
    }
    for channel in ["ack", "command"] {
        assert!(!kiosk(&topic("K-0001", channel)), "a kiosk may not give itself a {channel}");
    }
    assert!(!kiosk("kiosk/v1/+/K-0001/journal"));
    assert!(!kiosk("$SYS/broker/uptime"));
}

#[test]
fn a_kiosk_hears_its_own_commands_only() {
    let broker = Broker::start();
    let (own, other) = (topic("K-0001", "command"), topic("K-0002", "command"));
    let mut kiosk = broker.listen(broker.kiosks, "kiosks/K-0001", &["kiosk/v1/#", &own, &other]);
    for target in [&other, &topic("K-0002", "ack"), &own] {
        assert!(broker.lets_publish(broker.servers, "server", target));
    }
    assert_eq!(kiosk.next(), format!("server on {own}"));
}

#[test]
fn certificates_open_their_own_door_only() {
    let broker = Broker::start();
    let journal = |kiosk: &str| topic(kiosk, "journal");
    let doors = [
        (broker.kiosks, "kiosks/K-0002", journal("K-0002"), true, "a good certificate"),
        (broker.kiosks, "kiosks/K-0003", journal("K-0003"), false, "one that was taken back"),
        (broker.servers, "kiosks/K-0001", journal("K-0001"), false, "a kiosk at the servers' door"),
        (broker.kiosks, "server", journal("K-0001"), false, "a server at the kiosks' door"),
        (
            broker.kiosks,
            "kiosks/kioskwatch-server",
            journal("K-0001"),
            false,
            "a kiosk that bears the server's name",
        ),
    ];
    for (port, name, topic, open, what) in doors {
        assert_eq!(broker.lets_publish(port, name, &topic), open, "{what}");
    }
}

#[test]
fn broker_and_server_certificates_are_renewed_and_everybody_comes_in_as_before() {
    let files = Scratch::new();
    let script = deploy().join("mosquitto/certificates");
    let certificates =
        |arguments: &[&str]| Command::new(&script).arg(&files.0).args(arguments).output().unwrap();
    let early = certificates(&["renew"]);
    assert!(!early.status.success() && String::from_utf8_lossy(&early.stderr).contains("init makes them"));
    assert!(certificates(&["init", "broker.example", "10.0.0.7"]).status.success());
    assert!(certificates(&["kiosk", "K-0001"]).status.success());
    let of = |name: &str, what: &str| {
        let path = files.path(&format!("{name}.pem"));
        let said =
            succeeds(Command::new("openssl").args(["x509", "-noout", "-in", &path]).args(what.split(' ')));
        String::from_utf8(said.stdout).unwrap()
    };
    let kept = ["kiosk-ca.pem", "server-ca.pem", "kiosk-crl.pem", "kiosks/K-0001.pem"];
    let contents = || kept.map(|name| fs::read(files.path(name)).unwrap());
    let (before, names) = (contents(), of("broker", "-ext subjectAltName"));
    let serials = ["broker", "server"].map(|name| of(name, "-serial"));
    assert!(certificates(&["renew"]).status.success());
    assert_eq!(contents(), before, "what the others trust stays as it is");
    assert_eq!(of("broker", "-ext subjectAltName"), names, "the broker keeps its names");
    assert!(names.contains("DNS:broker.example") && names.contains("IP Address:10.0.0.7"), "{names}");
    for (name, serial) in ["broker", "server"].into_iter().zip(serials) {
        assert_ne!(of(name, "-serial"), serial, "{name} is as it was");
        let [ca, own] = ["server-ca.pem", &format!("{name}.pem")].map(|file| files.path(file));
        succeeds(Command::new("openssl").args(["verify", "-CAfile", &ca, &own]));
        let key = files.path(&format!("{name}.key"));
        let key = succeeds(Command::new("openssl").args(["pkey", "-pubout", "-in", &key]));
        assert_eq!(of(name, "-pubkey"), String::from_utf8(key.stdout).unwrap(), "{name}'s key is another's");
    }
    assert!(certificates(&["renew", "other.example"]).status.success());
    let names = of("broker", "-ext subjectAltName");
    assert!(names.contains("DNS:other.example") && !names.contains("broker.example"), "{names}");
}
