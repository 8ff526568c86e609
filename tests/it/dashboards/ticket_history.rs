//! Tickets of the past and their age, from the views of PostgreSQL.
use serde_json::json;

use super::{
    board::{Board, console, sites},
    panel::{Panel, in_time_shown},
    tickets::{CLOCKS, MEASURED},
};

const WHERE: &str = concat!(in_time_shown!("opened_at"), " AND COALESCE(site, '') IN ($site)");
const STARTED: &str = in_time_shown!("started_at");
const QUIET: &str = "这段时间没有 / none in this time";

pub(super) fn board() -> Board {
    Board {
        name: "ticket-history",
        title: "工单历史 / Ticket history",
        description: "What was opened, how old it is, how long repair took, which service clocks were kept.",
        from: "now-90d",
        refresh: "5m",
        variables: vec![sites("v_tickets"), console()],
        panels: [flow(), open(), kept()].concat(),
    }
}

fn flow() -> Vec<Panel> {
    let daily = |metric: &str| {
        format!(
            "SELECT date_trunc('day', to_timestamp(opened_at / 1000.0)) AS time, {metric} AS metric,\n  \
             count(*) AS value\nFROM v_tickets\nWHERE {WHERE}\nGROUP BY 1, 2 ORDER BY 1, 2"
        )
    };
    let device = "COALESCE(NULLIF(peripheral, ''), '整机 / kiosk')";
    vec![
        Panel::series("每天新开，按类别 / Opened each day, by class").sql_series(&daily("class")).stacked(),
        Panel::series("每天新开，按设备 / Opened each day, by device").sql_series(&daily(device)).stacked(),
        Panel::series("从故障到工单 / From fault to ticket, 95th percentile of a day")
            .sql_series(&format!(
                "SELECT date_trunc('day', to_timestamp(opened_at / 1000.0)) AS time, 'p95' AS metric,\n  \
                 percentile_cont(0.95) WITHIN GROUP (ORDER BY fault_to_ticket_s) AS value\n\
                 FROM v_tickets WHERE fault_to_ticket_s IS NOT NULL AND {WHERE} GROUP BY 1 ORDER BY 1"
            ))
            .unit("s")
            .describe("From the machine's own sight of the fault; holds and offline hours are in it."),
        Panel::series("修复时间中位数 / Median time to repair, by class")
            .sql_series(&format!(
                "SELECT date_trunc('day', to_timestamp(opened_at / 1000.0)) AS time, class AS metric,\n  \
                 percentile_cont(0.5) WITHIN GROUP (ORDER BY restore_s) AS value\n\
                 FROM v_tickets WHERE restore_s IS NOT NULL AND {WHERE} GROUP BY 1, 2 ORDER BY 1, 2"
            ))
            .unit("s")
            .may_be_empty(QUIET),
    ]
}

fn open() -> Vec<Panel> {
    vec![
        Panel::table("未结工单的年龄 / Age of open tickets")
            .sql(
                "SELECT class, count(*) FILTER (WHERE age < 14400) AS h4, \
                 count(*) FILTER (WHERE age >= 14400 AND age < 86400) AS d1, \
                 count(*) FILTER (WHERE age >= 86400 AND age < 259200) AS d3, \
                 count(*) FILTER (WHERE age >= 259200) AS older, count(*) AS total\n\
                 FROM (SELECT class, extract(epoch FROM now()) - opened_at / 1000.0 AS age\n      \
                 FROM v_tickets WHERE is_open = 1 AND COALESCE(site, '') IN ($site)) AS t\n\
                 GROUP BY class ORDER BY class",
            )
            .name("class", "类别 / Class")
            .name("h4", "< 4 h")
            .name("d1", "4–24 h")
            .name("d3", "1–3 d")
            .name("older", "> 3 d")
            .name("total", "合计 / Total"),
        Panel::table("最久未结 / Oldest open tickets")
            .sql(
                "SELECT number, kiosk, site_name, fault, class, state, priority, \
                 extract(epoch FROM now()) - opened_at / 1000.0 AS age_s, id\n\
                 FROM v_tickets WHERE is_open = 1 AND COALESCE(site, '') IN ($site)\nORDER BY opened_at LIMIT 50",
            )
            .name("number", "编号 / No.")
            .name("kiosk", "终端 / Kiosk")
            .name("site_name", "网点 / Site")
            .name("fault", "故障 / Fault")
            .name("class", "类别 / Class")
            .name("state", "状态 / State")
            .name("priority", "优先级 / Priority")
            .name("age_s", "年龄 / Age")
            .name("id", "工单 / Ticket")
            .column("年龄 / Age", &[("unit", json!("s"))])
            .cell_link("工单 / Ticket", "控制台 / Console", "${console}/tickets/${__value.text}"),
        Panel::table("故障最多的设备 / Faults by device")
            .sql(&format!(
                "SELECT COALESCE(NULLIF(peripheral, ''), '整机 / kiosk') AS device, fault, count(*) AS tickets,\n  \
                 count(DISTINCT kiosk) AS kiosks, sum(reopened) AS reopened\n\
                 FROM v_tickets WHERE {WHERE} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 50"
            ))
            .name("device", "设备 / Device")
            .name("fault", "故障 / Fault")
            .name("tickets", "工单 / Tickets")
            .name("kiosks", "终端 / Kiosks")
            .name("reopened", "重开 / Reopened"),
    ]
}

fn kept() -> Vec<Panel> {
    vec![
        Panel::table("时限 / Service clocks")
            .sql(&format!(
                "SELECT clock, count(*) AS clocks, count(*) FILTER (WHERE state = 'met') AS met, \
                 count(*) FILTER (WHERE state = 'breached') AS breached, \
                 count(*) FILTER (WHERE state IN ('running', 'paused')) AS running\n\
                 FROM v_ticket_clocks\n\
                 WHERE {STARTED} AND clock IN ('{}') AND COALESCE(site, '') IN ($site)\n\
                 GROUP BY clock ORDER BY breached DESC, clock",
                CLOCKS.replace('|', "', '")
            ))
            .describe(MEASURED)
            .name("clock", "时限 / Clock")
            .name("clocks", "合计 / All")
            .name("met", "达成 / Met")
            .name("breached", "超时 / Breached")
            .name("running", "进行中 / Running"),
    ]
}
