//! How computed values are written.

use chrono::{NaiveDate, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;
use serde_json::{Map, Value};

use super::Fields;
use crate::wall;

/// An instant on the wall clock of a zone, with its offset: `2026-03-10T23:30:00+08:00`.
pub(super) fn instant(zone: Tz, t: i64) -> Value {
    let offset = i32::try_from(wall::offset_at(zone, t)).ok().and_then(chrono::FixedOffset::east_opt);
    let offset = offset.unwrap_or(chrono::Utc.fix());
    let local = wall::local_of(zone, t) - TimeDelta::seconds(i64::from(offset.local_minus_utc()));
    Value::from(offset.from_utc_datetime(&local).format("%Y-%m-%dT%H:%M:%S%:z").to_string())
}

pub(super) fn instant_or_null(zone: Tz, t: Option<i64>) -> Value {
    t.map_or(Value::Null, |t| instant(zone, t))
}

pub(super) fn days(days: &[NaiveDate]) -> Value {
    days.iter().map(ToString::to_string).collect()
}

/// The named fields, and `provisional` only when it is true.
pub(super) fn fields<const N: usize>(list: [(&str, Value); N], provisional: bool) -> Fields {
    let mut out: Fields = list.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    if provisional {
        out.insert("provisional".to_owned(), Value::from(true));
    }
    out
}

pub(super) fn object<const N: usize>(list: [(&str, Value); N]) -> Value {
    Value::Object(list.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>())
}
