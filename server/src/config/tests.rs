use super::*;

fn load(text: &str) -> Result<Config, ConfigErrors> {
    Config::from_parts(Some(("server.toml", text)), [])
}

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect()
}

#[test]
fn the_sample_is_complete_and_shows_the_defaults() {
    assert_eq!(load(SAMPLE).unwrap(), Config::default());
    // Every key is in the sample, commented out when it has no default.
    let all = toml::to_string(&Config::default()).unwrap();
    for line in all.lines().filter(|l| l.contains(" = ")) {
        let key = line.split(" = ").next().unwrap();
        assert!(SAMPLE.contains(&format!("\n{key} =")), "{key} is not in the sample");
    }
}

#[test]
fn what_is_wrong_is_named_by_file_line_and_key() {
    let table = [
        ("[http]\nlissten = \"x\"", "server.toml:2:", "unknown field `lissten`"),
        ("[http]\nlisten = 8080", "server.toml:2:", "invalid type"),
        ("[http]\nlisten = \"here\"", "server.toml:2:", "socket address"),
        ("\n[tickets]\nquiet_h = -1", "server.toml:3:", "-1"),
        ("[htp]\n", "server.toml:1:", "unknown field `htp`"),
        ("[mqtt]\nurl = \"http://x\"", "server.toml:2:", "mqtt.url: expected embedded, mqtt://host:port"),
        ("[mqtt]\n\nurl = \"mqtts://x\"", "server.toml:3:", "ca_file"),
        ("[mqtt]\nurl = \"mqtt://u:p@x\"", "server.toml:2:", "password_file"),
        ("[uptime]\ntarget = [100, 99]", "server.toml:2:", "expected [a, b] with 0 < a <= b"),
        ("[uptime]\ntarget = [1, 0]", "server.toml:2:", "[1, 0] is no share"),
        ("[flood]\nkib_per_s = 255", "server.toml:2:", "expected 256 to"),
        ("[retention]\nrecords_months = 2", "server.toml:2:", "expected 3 to 1200"),
        ("[retention]\n\ntickets_months = 11", "server.toml:3:", "expected 12 to 1200"),
        ("[retention]\ntickets_years = 5", "server.toml:2:", "unknown field `tickets_years`"),
        ("[uptime]\nfreeze_hours = 649", "server.toml:2:", "expected 0 to 648"),
        ("[inspection]\nphone_report_day = 0", "server.toml:2:", "expected 1 to 31"),
        ("[inspection]\nonsite_start_month_of_quarter = 4", "server.toml:2:", "expected 1 to 3"),
        (
            "[monitoring]\nlisten = \"127.0.0.1:8080\"",
            "server.toml:2:",
            "monitoring.listen: 127.0.0.1:8080 is taken already by http.listen",
        ),
        (
            "[mqtt]\nlisten = \"127.0.0.1:9464\"",
            "server.toml:2:",
            "127.0.0.1:9464 is taken already by monitoring.listen",
        ),
        ("[presence]\nmissed_heartbeats = 1", "server.toml:2:", "expected 2 to 100"),
        ("[database]\nurl = \"mysql://x\"", "server.toml:2:", "sqlite://path"),
        (
            "[fleet]\nunknown_kiosks = \"eat\"",
            "server.toml:2:",
            "expected one of `refuse`, `quarantine`, `accept`",
        ),
        ("[console\n", "server.toml:1:", ""),
    ];
    for (text, place, problem) in table {
        let error = load(text).unwrap_err().to_string();
        assert!(error.starts_with(place) && error.contains(problem), "{text:?} gave: {error}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
    let text = "[http]\nlissten = \"x\"\nlisten = 8080\n[htp]\nlisten = 1\n[uptime]\ntarget = [2, 1]\n\
                [calendars]\nfiles = [\n  7,\n]\n[database]\nurl = \"mysql://x\"\n";
    let vars = [("KIOSKWATCH__HTTP__MAX_SSE", "many"), ("KIOSKWATCH__FLOOD__KIB_BURST", "1")];
    let errors = Config::from_parts(Some(("server.toml", text)), env(&vars)).unwrap_err();
    let told = errors.to_string();
    let told: Vec<&str> = told.lines().collect();
    for (line, part) in told.iter().zip([
        "server.toml:2: unknown field `lissten`",
        "server.toml:3: listen: invalid type: integer `8080`",
        "server.toml:4: unknown field `htp`",
        "server.toml:7: uptime.target: [2, 1] is no share",
        "server.toml:10: invalid type: integer `7`",
        "server.toml:13: database.url: expected sqlite://path",
        "environment variable KIOSKWATCH__HTTP__MAX_SSE: ",
        "configuration key flood.kib_burst: 1 is out of range",
    ]) {
        assert!(line.starts_with(part), "{part}: {line}");
    }
    assert_eq!(told.len(), 8, "{told:#?}");
    // What is no TOML at all says nothing of what follows.
    assert_eq!(load("[http\n[htp]\n").unwrap_err().0.len(), 1);
}

#[test]
fn a_sentence_about_a_file_says_where_its_key_stands() {
    let path = std::env::temp_dir().join(format!("kioskwatch-placed-{}.toml", std::process::id()));
    std::fs::write(&path, "[storage]\n\ndata_dir = \"/x\"\n").unwrap();
    let told = |sentence| placed(Some(&path), sentence);
    assert_eq!(told("[storage] data_dir: no"), format!("{}:3: [storage] data_dir: no", path.display()));
    assert_eq!(told("[mqtt] ca_file: no"), format!("{}: [mqtt] ca_file: no", path.display()));
    assert_eq!(placed(None, "[mqtt] ca_file: no"), "[mqtt] ca_file: no");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn the_environment_overrides_and_no_file_is_needed() {
    let vars = env(&[
        ("KIOSKWATCH__HTTP__LISTEN", "127.0.0.1:9000"),
        ("KIOSKWATCH__PRESENCE__MISSED_HEARTBEATS", "5"),
        ("KIOSKWATCH__STORAGE__DATA_DIR", "/tmp/1"),
        ("KIOSKWATCH__FLEET__UNKNOWN_KIOSKS", "accept"),
        ("KIOSKWATCH__CONSOLE__OPEN_ACCESS", "true"),
    ]);
    let config = Config::from_parts(None, vars).unwrap();
    assert_eq!(config.http.listen.port(), 9000);
    assert_eq!(config.presence.missed_heartbeats, 5);
    assert_eq!(config.fleet.unknown_kiosks, UnknownKiosks::Accept);
    assert!(config.console.open_access);
}

#[test]
fn a_bad_variable_is_blamed_by_name() {
    let table = [
        (("KIOSKWATCH__HTTP__LISTN", "x"), "KIOSKWATCH__HTTP__LISTN"),
        (("KIOSKWATCH__PRESENCE__MISSED_HEARTBEATS", "many"), "KIOSKWATCH__PRESENCE__MISSED_HEARTBEATS"),
        (("KIOSKWATCH__NONSENSE", "x"), "KIOSKWATCH__NONSENSE"),
    ];
    for (pair, blamed) in table {
        let error = Config::from_parts(None, env(&[pair])).unwrap_err().to_string();
        assert!(error.contains(blamed), "{error}");
    }
}

#[test]
fn passwords_are_never_shown() {
    let mut config = Config::default();
    config.database.url = "postgres://kw:s3cret@db/kiosks".to_owned();
    assert!(!config.redacted().contains("s3cret"));
    assert!(config.redacted().contains("postgres://kw:***@db/kiosks"));
    assert_eq!(blank_password("sqlite:///tmp/x@y"), "sqlite:///tmp/x@y");
}
