//! `asyncapi.yaml` says what the types do: channels, properties, required fields, words.
use std::{collections::BTreeSet, str::FromStr};

use kioskwatch_proto::{
    command::Action,
    journal::{Body, CommandOutcome, FaultState, Record, TransactionOutcome},
    presence::PresenceState,
    topic::Channel,
    words::{PeripheralStatus, PortMode, ServiceState, Severity, ShutdownReason},
};
use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Value, json};

use crate::golden::{golden_of, golden_records};

fn document() -> Value {
    let documents = Yaml::load_from_str(include_str!("../../asyncapi.yaml")).unwrap();
    assert_eq!(documents.len(), 1);
    to_json(&documents[0])
}

fn to_json(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => json!(value),
        Yaml::Value(Scalar::Integer(value)) => json!(value),
        Yaml::Value(Scalar::FloatingPoint(value)) => json!(value.into_inner()),
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Sequence(items) => items.iter().map(to_json).collect(),
        Yaml::Mapping(fields) => {
            fields.iter().map(|(key, value)| (key.as_str().unwrap().to_owned(), to_json(value))).collect()
        }
        other => panic!("a form of YAML that the document does not need: {other:?}"),
    }
}

/// Every `$ref` on the way is followed.
fn resolve<'a>(document: &'a Value, node: &'a Value) -> &'a Value {
    match node.get("$ref").and_then(Value::as_str) {
        Some(target) => {
            let pointer = target.strip_prefix('#').unwrap();
            resolve(document, document.pointer(pointer).unwrap_or_else(|| panic!("{target} leads nowhere")))
        }
        None => node,
    }
}

fn schema<'a>(document: &'a Value, name: &str) -> &'a Value {
    document["components"]["schemas"].get(name).unwrap_or_else(|| panic!("no schema {name}"))
}

fn keys(object: &Value) -> BTreeSet<String> {
    object.as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default()
}

fn texts(list: &Value) -> BTreeSet<String> {
    list.as_array().into_iter().flatten().map(|v| v.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_channel_stands_there_with_its_sender_and_guarantees() {
    let document = document();
    let names: BTreeSet<String> = Channel::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(keys(&document["channels"]), names);
    assert_eq!(keys(&document["operations"]), names);
    for channel in Channel::ALL {
        let name = channel.as_str();
        let address = document["channels"][name]["address"].as_str().unwrap();
        let kiosk = kioskwatch_proto::KioskId::new("K-0001").unwrap();
        let filled =
            address.replace("{shard}", &kiosk.shard().to_string()).replace("{kiosk_id}", kiosk.as_str());
        assert_eq!(kioskwatch_proto::topic::Topic::parse(&filled).unwrap().channel, *channel, "{address}");

        let operation = &document["operations"][name];
        assert_eq!(operation["action"], if channel.from_agent() { "send" } else { "receive" }, "{name}");
        assert_eq!(operation["channel"]["$ref"], format!("#/channels/{name}"));
        let binding = &operation["bindings"]["mqtt"];
        assert_eq!(binding["qos"], channel.qos(), "{name}");
        assert_eq!(binding["retain"], channel.retained(), "{name}");
        assert_eq!(binding.get("messageExpiryInterval").is_some(), *channel == Channel::Command, "{name}");
        resolve(&document, &resolve(&document, &document["channels"][name]["messages"][name])["payload"]);
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    fn walk<'a>(document: &'a Value, node: &'a Value, used: &mut BTreeSet<&'a str>) {
        if let Some(target) = node.get("$ref").and_then(Value::as_str) {
            resolve(document, node);
            used.extend(target.strip_prefix("#/components/schemas/"));
        }
        match node {
            Value::Array(items) => items.iter().for_each(|item| walk(document, item, used)),
            Value::Object(fields) => fields.values().for_each(|field| walk(document, field, used)),
            _ => {}
        }
    }
    let document = document();
    let mut used = BTreeSet::new();
    walk(&document, &document, &mut used);
    // What an envelope holds is text, and an inventory's actions may be a newer agent's.
    used.extend(["Command"]);
    let known = keys(&document["components"]["schemas"]);
    assert_eq!(known, used.into_iter().map(str::to_owned).collect());
}

/// Schema, message whose fixtures show it, and where it stands in them (`*`: every element).
const OBJECTS: &[(&str, &str, &str)] = &[
    ("Presence", "presence", ""),
    ("Inventory", "inventory", ""),
    ("InventoryItem", "inventory", "/peripherals/*"),
    ("Heartbeat", "heartbeat", ""),
    ("PeripheralState", "heartbeat", "/peripherals/*"),
    ("HostLoad", "heartbeat", "/host"),
    ("JournalHead", "heartbeat", "/journal"),
    ("JournalBatch", "journal", ""),
    ("Ack", "ack", ""),
    ("Rejected", "ack", "/rejected/*"),
    ("Envelope", "command", ""),
    ("Command", "command_payload", ""),
    ("Progress", "progress", ""),
    ("Artifact", "artifact", ""),
];

#[test]
fn properties_and_required_fields_are_those_of_the_types() {
    let document = document();
    for (name, message, place) in OBJECTS {
        let schema = schema(&document, name);
        let mut seen = Seen::default();
        for fixture in golden_of(message) {
            let read = fixture.message().read;
            seen.look(&document, schema, &fixture.value(), place, &|value| {
                read(value.to_string().as_bytes()).is_ok()
            });
        }
        seen.compare(name, &keys(&schema["properties"]), &texts(&schema["required"]));
    }
}

#[test]
fn records_have_the_header_and_the_fields_of_their_kind() {
    let document = document();
    let header = schema(&document, "RecordHeader");
    let header_keys = keys(&header["properties"]);
    assert_eq!(
        texts(&header["properties"]["kind"]["x-known"]),
        Body::KINDS.iter().map(|k| (*k).into()).collect()
    );
    let records: Vec<Value> = golden_records().iter().map(|json| Value::from_str(json).unwrap()).collect();
    let parses = |value: &Value| Record::parse(&value.to_string()).is_ok();

    let mut heads = Seen::default();
    for kind in Body::KINDS {
        let name = format!("Record{}{}", kind[..1].to_uppercase(), &kind[1..]);
        let own = &schema(&document, &name)["allOf"][1];
        let own_keys = keys(&own["properties"]);
        assert!(own_keys.is_disjoint(&header_keys), "{name}");
        let mut seen = Seen::default();
        for record in records.iter().filter(|r| r["kind"] == *kind) {
            let all = json!({"properties": merged(&header["properties"], &own["properties"])});
            seen.look(&document, &all, record, "", &parses);
        }
        heads.keys.extend(seen.keys.iter().filter(|k| header_keys.contains(*k)).cloned());
        heads.required.extend(seen.required.iter().filter(|k| header_keys.contains(*k)).cloned());
        seen.keys.retain(|k| !header_keys.contains(k));
        seen.required.retain(|k| !header_keys.contains(k));
        seen.compare(&name, &own_keys, &texts(&own["required"]));
    }
    heads.compare("RecordHeader", &header_keys, &texts(&header["required"]));

    for (name, place) in [("Was", "/was"), ("FaultDetail", "/detail")] {
        let schema = schema(&document, name);
        let mut seen = Seen::default();
        for record in &records {
            seen.look(&document, schema, record, place, &parses);
        }
        seen.compare(name, &keys(&schema["properties"]), &texts(&schema["required"]));
    }
    for kind in Body::KINDS.iter().map(|k| format!("Record{}{}", k[..1].to_uppercase(), &k[1..])) {
        let reference = json!({"$ref": format!("#/components/schemas/{kind}")});
        assert!(schema(&document, "Record")["anyOf"].as_array().unwrap().contains(&reference), "{kind}");
    }
}

fn merged(one: &Value, other: &Value) -> Value {
    let mut fields = one.as_object().unwrap().clone();
    fields.extend(other.as_object().unwrap().clone());
    Value::Object(fields)
}

/// What the golden payloads show of one type.
#[derive(Default)]
struct Seen {
    keys: BTreeSet<String>,
    /// Without these the payload does not parse.
    required: BTreeSet<String>,
}

impl Seen {
    fn look(
        &mut self,
        document: &Value,
        schema: &Value,
        whole: &Value,
        place: &str,
        parses: &dyn Fn(&Value) -> bool,
    ) {
        assert!(parses(whole), "{whole}");
        for pointer in expand(whole, place) {
            let Some(object) = whole.pointer(&pointer).and_then(Value::as_object) else { continue };
            for (key, value) in object {
                self.keys.insert(key.clone());
                check_type(document, &schema["properties"][key], value, key);
                let mut without = whole.clone();
                without.pointer_mut(&pointer).unwrap().as_object_mut().unwrap().remove(key);
                if !parses(&without) {
                    self.required.insert(key.clone());
                }
            }
        }
    }

    fn compare(&self, name: &str, properties: &BTreeSet<String>, required: &BTreeSet<String>) {
        assert_eq!(properties, &self.keys, "{name}: properties of the document, fields in the fixtures");
        assert_eq!(required, &self.required, "{name}: required in the document, required by the parser");
    }
}

/// The pointers that `place` stands for in this value.
fn expand(whole: &Value, place: &str) -> Vec<String> {
    let Some(parent) = place.strip_suffix("/*") else { return vec![place.to_owned()] };
    match whole.pointer(parent) {
        Some(Value::Array(items)) => (0..items.len()).map(|n| format!("{parent}/{n}")).collect(),
        Some(Value::Object(fields)) => fields.keys().map(|k| format!("{parent}/{k}")).collect(),
        _ => Vec::new(),
    }
}

/// The JSON type that the document announces, and the word lists it refers to.
fn check_type(document: &Value, schema: &Value, value: &Value, key: &str) {
    let schema = resolve(document, schema);
    let fits = match schema.get("type").and_then(Value::as_str) {
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some(other) => panic!("{key}: type {other}"),
        None => true,
    };
    assert!(fits, "{key}: {value} does not fit {schema}");
    if let Some(words) = schema.get("enum") {
        assert!(words.as_array().unwrap().contains(value), "{key}: {value} is not in {words}");
    }
}

#[test]
fn word_lists_are_those_of_the_code() {
    let document = document();
    macro_rules! closed {
        ($($name:ident),+) => {
            [$((stringify!($name), $name::ALL.iter().map(ToString::to_string).collect::<BTreeSet<_>>())),+]
        };
    }
    let closed = closed!(
        PresenceState,
        ServiceState,
        Severity,
        PortMode,
        ShutdownReason,
        FaultState,
        TransactionOutcome,
        CommandOutcome
    );
    for (name, words) in &closed {
        assert_eq!(&texts(&schema(&document, name)["enum"]), words, "{name}");
    }
    let statuses: BTreeSet<String> = PeripheralStatus::KNOWN.iter().map(|w| (*w).to_owned()).collect();
    assert_eq!(texts(&schema(&document, "PeripheralStatus")["x-known"]), statuses);
    let actions: BTreeSet<String> = Action::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(texts(&schema(&document, "Action")["x-known"]), actions);

    // No list in the document that no test compares.
    let listed = document["components"]["schemas"].as_object().unwrap().iter();
    let enums: BTreeSet<&str> =
        listed.filter(|(_, s)| s.get("enum").is_some()).map(|(n, _)| n.as_str()).collect();
    assert_eq!(enums, closed.iter().map(|(name, _)| *name).collect());
}
