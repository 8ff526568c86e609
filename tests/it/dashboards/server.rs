//! Kioskwatch itself, from Prometheus.
use super::{
    board::Board,
    panel::{FEW_IS_GOOD, NONE_IS_GOOD, Panel},
};

const LATENCY: &[(Option<f64>, &str)] = &[(None, "green"), (Some(1.0), "yellow"), (Some(5.0), "red")];
/// Once a day.
const A_DAY: &[(Option<f64>, &str)] =
    &[(None, "green"), (Some(129_600.0), "yellow"), (Some(345_600.0), "red")];
const GOOD: &str = "没有即为正常 / nothing is good";

pub(super) fn board() -> Board {
    Board {
        name: "server",
        title: "系统自身 / Kioskwatch itself",
        description: "Whether the server hears, commits and keeps up.",
        from: "now-3h",
        refresh: "30s",
        variables: Vec::new(),
        panels: [stats(), series()].concat(),
    }
}

fn stats() -> Vec<Panel> {
    let day = |what: &str| format!("sum(increase(kioskwatch_{what}_total[24h])) or vector(0)");
    vec![
        Panel::stat("就绪 / Ready").prom("__auto", "max(kioskwatch_ready)").says_states(),
        Panel::stat("版本 / Version")
            .prom("{{version}}", "max by (version) (kioskwatch_build_info)")
            .says_name(),
        Panel::stat("入库 p99 / Ingest p99")
            .prom("__auto", "fleet:kioskwatch_ingest_seconds:p99_5m")
            .unit("s")
            .judged(LATENCY),
        Panel::stat("提交 p99 / Commit p99")
            .prom("__auto", "fleet:kioskwatch_commit_seconds:p99_5m")
            .unit("s")
            .judged(LATENCY),
        Panel::stat("24 小时丢弃 / Dropped in 24 h").prom("__auto", &day("dropped")).judged(FEW_IS_GOOD),
        Panel::stat("24 小时安全事件 / Security events in 24 h")
            .prom("__auto", &day("security_events"))
            .judged(NONE_IS_GOOD),
        Panel::stat("旧数据上次清理 / Old rows last removed")
            .prom("__auto", "time() - max(kioskwatch_retention_last_completed_timestamp_seconds > 0)")
            .unit("s")
            .judged(A_DAY)
            .describe("How long ago everything that was kept for long enough was removed.")
            .may_be_empty("自启动以来尚未完成 / not since the server started"),
    ]
}

fn series() -> Vec<Panel> {
    let quantile = |q: &str, what: &str| {
        format!(
            "histogram_quantile({q}, sum by (le) (rate(kioskwatch_{what}_seconds_bucket[$__rate_interval])))"
        )
    };
    let per_hour = |what: &str, by: &str| format!("sum by ({by}) (increase(kioskwatch_{what}_total[1h]))");
    let dropped = "sum by (queue, reason) (increase(kioskwatch_dropped_total[$__rate_interval])) > 0";
    vec![
        Panel::series("消息 / Messages per second")
            .prom("{{channel}}", "sum by (channel) (fleet:kioskwatch_messages:rate5m)")
            .unit("ops"),
        Panel::series("非正常消息 / Messages that were not simply applied")
            .prom(
                "{{channel}} {{outcome}}",
                "sum by (channel, outcome) (fleet:kioskwatch_messages:rate5m{outcome!=\"applied\"}) > 0",
            )
            .unit("ops")
            .may_be_empty(GOOD),
        Panel::series("从到达到入库 / From arrival to commit")
            .prom("p50", &quantile("0.5", "ingest"))
            .prom("p99", &quantile("0.99", "ingest"))
            .unit("s")
            .line_at(5.0),
        Panel::series("提交与扫描 / Commit and sweep")
            .prom("commit p99", &quantile("0.99", "commit"))
            .prom("sweep p99", &quantile("0.99", "sweep"))
            .unit("s"),
        Panel::series("提交失败 / Commits that failed").prom(
            "{{reason}}",
            "sum by (reason) (increase(kioskwatch_commit_failures_total[$__rate_interval]))",
        ),
        Panel::series("队列 / Queues").prom("{{queue}}", "max by (queue) (kioskwatch_queue_depth)"),
        Panel::series("丢弃 / Dropped").prom("{{queue}} {{reason}}", dropped).may_be_empty(GOOD),
        Panel::series("命令 / Commands per hour")
            .prom("{{action}} {{state}}", &per_hour("commands", "action, state"))
            .may_be_empty("没有人下发命令 / nobody gave a command"),
        Panel::series("安全事件 / Security events per hour")
            .prom("{{event}}", &per_hour("security_events", "event")),
        Panel::series("清理的行数 / Rows removed per day")
            .prom("{{table}}", "sum by (table) (increase(kioskwatch_retention_removed_total[1d])) > 0")
            .may_be_empty("没有到期的数据 / nothing was old enough"),
        Panel::series("抓取 / Scrape")
            .prom("{{instance}}", "scrape_duration_seconds{job=\"kioskwatch\"}")
            .unit("s")
            .describe("A scrape computes the fleet's figures; its time grows with the fleet."),
    ]
}
