//! What a request to change a site or a kiosk changes: each field that differs, as it was and as it is, for the audit.
use serde_json::{Map, Value, json};

use crate::{
    change::{KioskRow, SiteRow},
    uptime::Commissioned,
};

/// `None`: it was not known before, and all of it is new.
pub(super) fn of_site(before: Option<&SiteRow>, after: &SiteRow) -> Value {
    differing(before.map(site), site(after))
}

/// See [`of_site`].
pub(super) fn of_kiosk(before: Option<&KioskRow>, after: &KioskRow) -> Value {
    differing(before.map(kiosk), kiosk(after))
}

/// The stretches of its service, where its dates do not say them all.
pub(super) fn of_stretches(changed: &mut Value, stretches: [&Commissioned; 2]) {
    if stretches.iter().any(|known| known.spans().len() > 1) {
        let dates = |known: &Commissioned| -> Vec<_> {
            known.spans().iter().map(|one| json!([one.commissioned_at, one.decommissioned_at])).collect()
        };
        let [before, after] = stretches.map(dates);
        changed["stretches"] = json!({ "before": before, "after": after });
    }
}

/// Contacts are people: that they changed is told, not who they are.
fn site(row: &SiteRow) -> Map<String, Value> {
    let fields = [
        ("name", json!(row.name)),
        ("region", json!(row.region)),
        ("customer", json!(row.customer)),
        ("zone", json!(row.zone.as_str())),
        ("timezone", json!(row.timezone)),
        ("service_hours", json!(row.service_hours)),
        ("remote_consent", json!(row.remote_consent)),
        ("contacts", json!(row.contacts)),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn kiosk(row: &KioskRow) -> Map<String, Value> {
    let fields = [
        ("site", json!(row.site)),
        ("admission", json!(row.admission.as_str())),
        ("model", json!(row.model)),
        ("serial_no", json!(row.serial_no)),
        ("commissioned_at", json!(row.commissioned_at)),
        ("decommissioned_at", json!(row.decommissioned_at)),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn differing(before: Option<Map<String, Value>>, after: Map<String, Value>) -> Value {
    let mut before = before.unwrap_or_default();
    let mut changed = Map::new();
    for (name, is) in after {
        let was = before.remove(&name).unwrap_or(Value::Null);
        let is_nothing = |value: &Value| value.is_null() || value == "";
        if was == is || is_nothing(&was) && is_nothing(&is) {
            continue;
        }
        let told = match name.as_str() {
            "contacts" => json!("changed"),
            _ => json!({ "before": was, "after": is }),
        };
        changed.insert(name, told);
    }
    Value::Object(changed)
}

#[cfg(test)]
mod tests {
    use kioskwatch_proto::Timestamp;

    use super::*;
    use crate::change::{Admission, Zone};

    #[test]
    fn the_audit_says_what_was_and_what_is_of_each_field_that_changed() {
        let row = KioskRow {
            id: "K-1".parse().unwrap(),
            site: None,
            admission: Admission::Accepted,
            model: "A".into(),
            serial_no: String::new(),
            commissioned_at: Some(Timestamp(1_000)),
            decommissioned_at: None,
            updated_at: Timestamp(0),
        };
        let other = KioskRow { model: "B".into(), commissioned_at: Some(Timestamp(2_000)), ..row.clone() };
        let said = json!({
            "model": { "before": "A", "after": "B" },
            "commissioned_at": { "before": "1970-01-01T00:00:01.000Z", "after": "1970-01-01T00:00:02.000Z" },
        });
        assert_eq!(of_kiosk(Some(&row), &other), said);
        assert_eq!(of_kiosk(Some(&row), &row), json!({}));
        assert_eq!(of_kiosk(None, &row)["model"], json!({ "before": null, "after": "A" }));
        let row = SiteRow {
            id: "S".parse().unwrap(),
            name: "hall".into(),
            region: "north".into(),
            customer: String::new(),
            zone: Zone::Urban,
            timezone: "UTC".into(),
            service_hours: String::new(),
            contacts: String::new(),
            remote_consent: false,
            updated_at: Timestamp(0),
        };
        let hours = r#"[{"weekly":{"mon":[["08:00","20:00"]]}}]"#;
        let other = SiteRow {
            service_hours: hours.into(),
            region: "south".into(),
            contacts: r#"[{"name":"Li"}]"#.into(),
            ..row.clone()
        };
        let said = json!({
            "service_hours": { "before": "", "after": hours },
            "region": { "before": "north", "after": "south" },
            "contacts": "changed",
        });
        assert_eq!(of_site(Some(&row), &other), said);
    }
}
