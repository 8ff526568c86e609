//! Bad input, and what is said about it: file, line, key, advice.
use kioskwatch_proto::words::PortMode;

use super::*;

const MINIMAL: &str = "[kiosk]\nid = \"K-1\"\n[mqtt]\nurl = \"mqtt://127.0.0.1:1883\"\n";

fn env(pairs: &[(&str, &str)]) -> Environment {
    Environment(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
}

fn read(text: &str) -> Result<Config, ConfigErrors> {
    parse("agent.toml", text, Environment::default())
}

#[test]
fn the_sample_is_complete_and_means_what_it_says() {
    let config = parse("sample.toml", SAMPLE, Environment::default()).unwrap();
    assert_eq!(config.unused, Vec::<String>::new());
    assert_eq!(config.peripherals.len(), 3);
    for peripheral in &config.peripherals {
        peripheral.setup().unwrap();
    }
    // Every key that `check-config` can print stands in the sample, in use or as a comment.
    for line in config.to_string().lines() {
        if let Some((key, _)) = line.split_once(" = ") {
            assert!(SAMPLE.contains(&format!("{key} = ")), "{key} is missing in the sample");
        }
    }
}

#[test]
fn the_effective_configuration_reads_back_to_itself() {
    let config = parse("sample.toml", SAMPLE, Environment::default()).unwrap();
    let again = parse("shown", &config.to_string(), Environment::default()).unwrap();
    assert_eq!(again.to_string(), config.to_string());
    assert_eq!(again.hash(), config.hash());
}

#[test]
fn two_keys_are_enough() {
    let config = read(MINIMAL).unwrap();
    assert_eq!(config.kiosk.heartbeat_interval_s, 30);
    assert_eq!((config.journal.keep_acked_h, config.journal.tick_ms), (72, 10_000));
    assert!(config.gate.expects_application());
    assert_eq!(config.mqtt.endpoint.to_string(), "mqtt://127.0.0.1:1883");
}

#[test]
fn the_environment_alone_is_enough_and_wins_over_the_file() {
    let pairs = [
        ("KIOSKWATCH__KIOSK__ID", "007"),
        ("KIOSKWATCH__MQTT__URL", "mqtt://broker"),
        ("KIOSKWATCH__KIOSK__HEARTBEAT_INTERVAL_S", "5"),
        ("KIOSKWATCH__JOURNAL__TICK_S", "0.5"),
        ("KIOSKWATCH__PERIPHERAL__0__NAME", "printer"),
        ("KIOSKWATCH__PERIPHERAL__0__MODE", "owned"),
        ("KIOSKWATCH__PERIPHERAL__0__DRIVER", "escpos"),
        ("KIOSKWATCH__PERIPHERAL__0__PORT", "/dev/ttyS1"),
        ("KIOSKWATCH__PERIPHERAL__0__PROBE_INTERVAL_S", "0.5"),
        ("KIOSKWATCH__PERIPHERAL__0__REQUIRED", "true"),
        ("KIOSKWATCH__PERIPHERAL__0__CUSTOM", "true"),
        ("KIOSKWATCH__HTTP__LISTEN", "127.0.0.1:80"),
    ];
    let config = parse("the environment", "", env(&pairs)).unwrap();
    assert_eq!(config.kiosk.id.as_str(), "007");
    assert_eq!(config.kiosk.heartbeat_interval_s, 5);
    assert_eq!(config.journal.tick_ms, 500);
    assert_eq!(config.mqtt.endpoint.port, 1883);
    let printer = &config.peripherals[0];
    assert_eq!((printer.core.probe_interval_ms, printer.core.required), (500, true));
    assert_eq!(printer.core.mode, PortMode::Owned);
    assert_eq!(config.unused, ["KIOSKWATCH__HTTP__LISTEN"], "the server's keys share the prefix");
    let config = parse("agent.toml", MINIMAL, env(&pairs[..1])).unwrap();
    assert_eq!(config.kiosk.id.as_str(), "007");
}

#[test]
fn what_is_wrong_is_told_with_place_key_and_advice() {
    let table: &[(&str, &[&str])] = &[
        ("[kiosk]\n", &["agent.toml:1", "[kiosk] id is missing", "register"]),
        ("[mqtt]\n", &["agent.toml:1", "[mqtt] url is missing", "mqtts://"]),
        ("[kiosk]\nid = \"K 1\"\n", &["agent.toml:2", "[kiosk] id", "'K 1'|\"K 1\"", "letters, digits"]),
        ("[kiosk]\nid = 7\n", &["agent.toml:2", "[kiosk] id", "letters, digits"]),
        ("[kiosk\n", &["agent.toml:1"]),
        ("id = \"K-1\"\n", &["agent.toml:1", "id stands outside a section"]),
        ("[[kiosk]]\nid = \"K-1\"\n", &["agent.toml:1", "[kiosk]"]),
        ("[peripheral]\nname = \"p\"\n", &["agent.toml:", "[[peripheral]]"]),
        ("[kiosks]\n", &["agent.toml:1", "[kiosks] is no key", "[kiosk], [gate]"]),
        (
            "[kiosk]\nid = \"K-1\"\nidd = 1\n",
            &["agent.toml:3", "[kiosk] idd is no key", "heartbeat_interval_s"],
        ),
        ("[kiosk]\nid = \"K-1\"\nheartbeat_interval_s = 0\n", &["agent.toml:3", "1 to 3600"]),
        ("[gate]\napplication = \"maybe\"\n", &["agent.toml:2", "[gate] application", "\"none\""]),
        ("[journal]\nmax_bytes = 10\n", &["agent.toml:2", "[journal] max_bytes", "1048576"]),
        ("[journal]\ntick_s = 11\n", &["agent.toml:2", "[journal] tick_s", "from 0.1 to 10"]),
        ("[mqtt]\nurl = \"http://x\"\n", &["agent.toml:", "[mqtt] url", "mqtts://"]),
        ("[mqtt]\nurl = \"mqtt://u:p@x\"\n", &["agent.toml:", "user or password"]),
        ("[mqtt]\nurl = \"mqtts://x\"\n", &["agent.toml:", "ca_file is missing", "PEM"]),
        ("[mqtt]\nurl = \"mqtt://x\"\nca_file = \"a\"\n", &["agent.toml:", "not TLS", "mqtts://"]),
        ("[commands]\nkeys = [\"k1\"]\n", &["agent.toml:2", "[commands] keys", "key_id:base64url"]),
        ("[log]\nlevel = \"info,loud\"\n", &["agent.toml:2", "[log] level", "debug"]),
        ("[[peripheral]]\nname = \"a\"\n", &["agent.toml:1", "[[peripheral]] mode is missing", "owned"]),
        ("[[peripheral]]\nmode = \"owned\"\n", &["agent.toml:1", "[[peripheral]] name is missing"]),
        (
            "[[peripheral]]\nname = \"a\"\nmode = \"owned\"\ndriver = \"laser\"\n",
            &["agent.toml:4", "no driver \"laser\"", "escpos"],
        ),
        (
            "[[peripheral]]\nname = \"a\"\nmode = \"owned\"\ndriver = \"escpos\"\n",
            &["agent.toml:1", "port is missing", "/dev/serial/by-id"],
        ),
        (
            "[[peripheral]]\nname = \"a\"\nmode = \"owned\"\ndriver = \"escpos\"\nport = \"/dev/x\"\nbuad = 1\n",
            &["agent.toml:6", "[[peripheral]] buad", "baud", "driver"],
        ),
        (
            "[[peripheral]]\nname = \"a\"\nmode = \"owned\"\ndriver = \"escpos\"\nport = \"/dev/x\"\nbaud = 7\n",
            &["agent.toml:6", "[[peripheral]] baud", "7 is no standard rate", "300"],
        ),
        (
            "[[peripheral]]\nname = \"a\"\nmode = \"owned\"\ndriver = \"escpos\"\nport = \"/dev/x\"\nbaud = 9601\n",
            &["agent.toml:6", "[[peripheral]] baud", "9601 is no standard rate", "4800, 9600, 14400"],
        ),
        (
            "[kiosk]\nid = \"K-1\"\ntimezone = \"Asia/Shangai\"\n",
            &["agent.toml:3", "[kiosk] timezone", "\"Asia/Shangai\"", "Asia/Shanghai"],
        ),
        (
            "[[peripheral]]\nname = \"a\"\nmode = \"pushed\"\nkind = \"printer\"\nport = \"/dev/x\"\n",
            &["agent.toml:5", "port", "pushed"],
        ),
        (
            "[[peripheral]]\nname = \"a\"\nmode = \"owned\"\ndriver = \"escpos\"\nport = \"/dev/x\"\n\
             [[peripheral]]\nname = \"b\"\nmode = \"owned\"\ndriver = \"megatec\"\nport = \"/dev/x\"\n",
            &["agent.toml:10", "port", "/dev/x", "agent.toml:5", "port of its own"],
        ),
        (
            "[[peripheral]]\nname = \"host\"\nmode = \"pushed\"\nkind = \"x\"\n",
            &["agent.toml:2", "the terminal itself"],
        ),
        (
            "[gate]\napplication = \"none\"\n[[peripheral]]\nname = \"a\"\nmode = \"pushed\"\nkind = \"bill_acceptor\"\n",
            &["agent.toml:5", "mode", "owned is right"],
        ),
    ];
    for (text, parts) in table {
        // The required sections that are not the row's own subject stand behind it.
        let mut whole = (*text).to_owned();
        for (section, body) in [("[kiosk]", "id = \"K-1\""), ("[mqtt]", "url = \"mqtt://x\"")] {
            if !text.contains(section) {
                whole.push_str(&format!("{section}\n{body}\n"));
            }
        }
        let error = read(&whole).expect_err(text).to_string();
        for part in *parts {
            assert!(part.split('|').any(|p| error.contains(p)), "{text}\n  says: {error}\n  lacks: {part}");
        }
    }
}

#[test]
fn an_empty_file_says_what_it_lacks() {
    assert!(read("").unwrap_err().to_string().starts_with("agent.toml: [kiosk] id is missing"));
}

#[test]
fn a_bad_variable_is_named() {
    let error = parse("agent.toml", MINIMAL, env(&[("KIOSKWATCH__KIOSK__HEARTBEAT_INTERVAL_S", "soon")]));
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("KIOSKWATCH__KIOSK__HEARTBEAT_INTERVAL_S: [kiosk] heartbeat_interval_s"),
        "{error}"
    );
    assert!(error.contains("1 to 3600"), "{error}");
}

#[test]
fn everything_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
    let text = "[kiosk]\nidd = \"K-1\"\nheartbeat_interval_s = 0\n[mqtt]\nurl = \"http://x\"\nkeep_alive_s = 1\n\
                [[peripheral]]\nmode = \"owned\"\ndriver = \"laser\"\nbaud = 7\n[kiosks]\n\
                [commands]\nkeys = [\"k1\", \"k2\"]\n";
    let told = read(text).unwrap_err().to_string();
    let told: Vec<&str> = told.lines().collect();
    for (line, part) in told.iter().zip([
        "agent.toml:1: [kiosk] id is missing",
        "agent.toml:2: [kiosk] idd is no key",
        "agent.toml:3: [kiosk] heartbeat_interval_s: 0 is outside",
        "agent.toml:5: [mqtt] url: its scheme",
        "agent.toml:6: [mqtt] keep_alive_s: 1 is outside",
        "agent.toml:7: [[peripheral]] name is missing",
        "agent.toml:7: [[peripheral]] port is missing",
        "agent.toml:9: [[peripheral]] driver: there is no driver \"laser\"",
        "agent.toml:10: [[peripheral]] baud: 7 is no standard rate",
        "agent.toml:11: [kiosks] is no key",
        "agent.toml:13: [commands] keys: ",
        "agent.toml:13: [commands] keys: ",
    ]) {
        assert!(line.starts_with(part), "{part}: {line}");
    }
    assert_eq!(told.len(), 12, "{told:#?}");
}

#[test]
fn a_sentence_about_a_file_says_where_its_key_stands() {
    let path = std::env::temp_dir().join(format!("kw-placed-{}.toml", uuid::Uuid::new_v4()));
    std::fs::write(&path, "[mqtt]\nurl = \"mqtts://x\"\nca_file = \"/none\"\n").unwrap();
    let told = |sentence| placed(Some(&path), sentence);
    assert_eq!(told("[mqtt] ca_file: no"), format!("{}:3: [mqtt] ca_file: no", path.display()));
    assert_eq!(told("[journal] path: no"), format!("{}: [journal] path: no", path.display()));
    std::fs::remove_file(&path).unwrap();
}
