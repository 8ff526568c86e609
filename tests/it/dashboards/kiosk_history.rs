//! One kiosk's past, from the views of PostgreSQL.
use serde_json::json;

use super::{
    board::{Board, column, console},
    panel::{Panel, in_time_shown, share},
};

/// Spans of one source that are drawn.
const EVIDENCE: u32 = 5_000;
const OURS: &str = "kiosk = '$kiosk'";
const CHANGED: &str = in_time_shown!("at");
const OPENED: &str = in_time_shown!("opened_at");

pub(super) fn board() -> Board {
    let kiosks = "SELECT kiosk FROM v_kiosks ORDER BY 1";
    Board {
        name: "kiosk-history",
        title: "单台终端历史 / One kiosk's past",
        description: "What was proven of one terminal, what changed, its tickets and its months.",
        from: "now-7d",
        refresh: "5m",
        variables: vec![column("kiosk", "终端 / Kiosk", kiosks, false), console()],
        panels: panels(),
    }
}

fn panels() -> Vec<Panel> {
    let percent = [("unit", json!("percentunit")), ("decimals", json!(2))];
    let uptime = "${console}/kiosks/${kiosk}/uptime?month=${__value.text}";
    vec![
        Panel::timeline("证据 / Evidence")
            .sql(&evidence("journal", "日志 / journal"))
            .sql(&evidence("live", "心跳 / heartbeats"))
            .describe(&format!("Where both speak the journal counts; the console shows how each second counted and why. Of each at most the last {EVIDENCE} spans."))
            .link("区间与证据 / Intervals and evidence", "${console}/kiosks/${kiosk}/uptime")
            .size(24, 7),
        Panel::table("逐月 / Months")
            .sql(&format!(
                "SELECT month, {} AS on_ratio,\n  {} AS avail_ratio,\n  {} AS full_ratio,\n  \
                 sum(avail_of_s - avail_s) AS down_s, max(version) AS version, max(state) AS state,\n  {} AS coverage\n\
                 FROM v_uptime_month WHERE {OURS} GROUP BY month ORDER BY month DESC LIMIT 36",
                share("on_s", "on_of_s"),
                share("avail_s", "avail_of_s"),
                share("full_s", "full_of_s"),
                share("known_s", "accountable_s"),
            ))
            .name("month", "月份 / Month")
            .name("on_ratio", "开机率 / On")
            .name("avail_ratio", "可用率 / Available")
            .name("full_ratio", "全功能率 / Full")
            .name("coverage", "数据覆盖 / Coverage")
            .name("down_s", "停机 / Down")
            .name("version", "版本 / Version")
            .name("state", "状态 / State")
            .column("开机率 / On", &percent)
            .column("可用率 / Available", &percent)
            .column("全功能率 / Full", &percent)
            .column("数据覆盖 / Coverage", &percent)
            .column("停机 / Down", &[("unit", json!("s"))])
            .cell_link("月份 / Month", "区间与证据 / Intervals and evidence", uptime)
            .size(24, 8),
        Panel::table("变化 / Changes")
            .sql(&format!(
                "SELECT to_timestamp(at / 1000.0) AS at, kind, peripheral, from_state, to_state, reason\n\
                 FROM v_transitions WHERE {OURS} AND {CHANGED}\nORDER BY v_transitions.at DESC LIMIT 200"
            ))
            .name("at", "时间 / At")
            .name("kind", "类别 / Kind")
            .name("peripheral", "外设 / Peripheral")
            .name("from_state", "原 / From")
            .name("to_state", "现 / To")
            .name("reason", "原因 / Reason")
            .size(12, 10),
        Panel::table("工单 / Tickets")
            .sql(&format!(
                "SELECT number, fault, peripheral, class, state, to_timestamp(opened_at / 1000.0) AS opened, restore_s, id\n\
                 FROM v_tickets WHERE {OURS} AND {OPENED}\nORDER BY opened_at DESC LIMIT 100"
            ))
            .name("number", "编号 / No.")
            .name("fault", "故障 / Fault")
            .name("peripheral", "外设 / Peripheral")
            .name("class", "类别 / Class")
            .name("state", "状态 / State")
            .name("opened", "开单 / Opened")
            .name("restore_s", "修复 / Repair")
            .name("id", "工单 / Ticket")
            .column("修复 / Repair", &[("unit", json!("s"))])
            .cell_link("工单 / Ticket", "控制台 / Console", "${console}/tickets/${__value.text}")
            .size(12, 10),
    ]
}

/// What one source has proven, as spans of states.
fn evidence(source: &str, shown: &str) -> String {
    format!(
        "SELECT to_timestamp(from_at / 1000.0) AS time, to_timestamp(to_at / 1000.0) AS \"timeEnd\", state AS \"{shown}\"\n\
         FROM (SELECT from_at, to_at, state FROM v_evidence WHERE {OURS} AND source = '{source}'\n  \
         AND to_at >= $__unixEpochFrom()::bigint * 1000 AND from_at <= $__unixEpochTo()::bigint * 1000\n  \
         ORDER BY from_at DESC LIMIT {EVIDENCE}) AS latest\nORDER BY from_at"
    )
}
