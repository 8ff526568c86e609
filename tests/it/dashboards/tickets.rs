//! Work at this moment and what came in, from Prometheus.
use super::{
    board::Board,
    panel::{NONE_IS_GOOD, Panel},
};

/// Clocks that this version can also stop: the others end with a plan, a call or an arrival that nobody can enter yet.
pub(super) const CLOCKS: &str = "restore|total";
const QUIET: &str = "这段时间没有发生 / none in this time";
pub(super) const MEASURED: &str =
    "Clocks that end with restored service or the sign-off; the ends of the others cannot be entered yet.";

pub(super) fn board() -> Board {
    Board {
        name: "tickets",
        title: "工单 / Tickets",
        description: "Open work and its age, what came in, clocks that ran out.",
        from: "now-7d",
        refresh: "1m",
        variables: Vec::new(),
        panels: [stats(), series()].concat(),
    }
}

/// Two servers may be seen for a moment while one takes over.
fn open(filter: &str) -> String {
    format!("sum(max by (state, priority, class) (kioskwatch_tickets_open{filter}))")
}

fn stats() -> Vec<Panel> {
    let breaches = format!("sum(increase(kioskwatch_sla_breaches_total{{clock=~\"{CLOCKS}\"}}[24h]))");
    let stat = |title: &str, expr: &str| Panel::stat(title).prom("__auto", &format!("{expr} or vector(0)"));
    vec![
        stat("未结工单 / Open tickets", &open("")),
        stat("一级 / Priority 1", &open("{priority=\"1\"}")).judged(NONE_IS_GOOD),
        stat("24 小时超时 / Breaches in 24 h", &breaches).judged(NONE_IS_GOOD).describe(MEASURED),
        Panel::stat("最久未结 / Oldest open ticket")
            .prom("__auto", "time() - min(kioskwatch_tickets_open_oldest_timestamp_seconds)")
            .unit("s")
            .judged(&[(None, "green"), (Some(86_400.0), "yellow"), (Some(259_200.0), "red")])
            .may_be_empty("没有未结工单 / no ticket is open"),
        stat(
            "停用终端的工单 / Of kiosks out of service",
            "sum(max by (class) (kioskwatch_tickets_open_out_of_service))",
        )
        .describe("Nowhere else on this page: somebody resolves or cancels them, and nobody hurries."),
    ]
}

fn series() -> Vec<Panel> {
    let by =
        |label: &str| format!("sum by ({label}) (max by (state, priority, class) (kioskwatch_tickets_open))");
    let faults = "sum by (kind) (max by (kind, fault, severity) (kioskwatch_faults_active))";
    let per_hour = |what: &str, by: &str| format!("sum by ({by}) (increase(kioskwatch_{what}_total[1h]))");
    let fault_to_ticket = |quantile: &str| {
        format!(
            "histogram_quantile({quantile}, sum by (le) (rate(kioskwatch_fault_to_ticket_seconds_bucket[1h])))"
        )
    };
    vec![
        Panel::series("按状态 / Open by state").prom("{{state}}", &by("state")).stacked().may_be_empty(QUIET),
        Panel::series("按类别 / Open by class").prom("{{class}}", &by("class")).stacked().may_be_empty(QUIET),
        Panel::series("未结工单年龄 / Age of the oldest open ticket, by class")
            .prom("{{class}}", "time() - min by (class) (kioskwatch_tickets_open_oldest_timestamp_seconds)")
            .unit("s")
            .line_at(259_200.0)
            .describe("The line is three days.")
            .may_be_empty("没有未结工单 / no ticket is open"),
        Panel::series("按设备类型的故障 / Open faults by kind of device").prom("{{kind}}", faults).stacked().may_be_empty(QUIET),
        Panel::series("新开工单 / Opened per hour")
            .prom("{{source}} {{class}}", &per_hour("tickets_opened", "source, class"))
            .may_be_empty(QUIET),
        Panel::series("超时 / Clocks that ran out, per hour")
            .prom(
                "{{clock}}",
                &format!("sum by (clock) (increase(kioskwatch_sla_breaches_total{{clock=~\"{CLOCKS}\"}}[1h]))"),
            )
            .describe(MEASURED)
            .may_be_empty(QUIET),
        Panel::series("阶段时长（90 分位） / Time in a stage, 90th percentile of a day")
            .prom("{{stage}}", "histogram_quantile(0.9, sum by (le, stage) (rate(kioskwatch_ticket_stage_seconds_bucket[1d])))")
            .unit("s")
            .may_be_empty("没有工单离开某个阶段 / no ticket has left a stage"),
        Panel::series("从故障到工单 / From fault to ticket")
            .prom("p50", &fault_to_ticket("0.5"))
            .prom("p99", &fault_to_ticket("0.99"))
            .unit("s")
            .describe("From a fault's arrival at the server to its committed ticket."),
        Panel::series("未开单的原因 / Why no ticket was opened, per hour")
            .prom("{{reason}}", &per_hour("suppressed", "reason"))
            .may_be_empty(QUIET),
        Panel::bars("巡检计划 / Inspections by planned dates")
            .prom(
                "{{kind}} {{state}}",
                "max by (kind, state) (kioskwatch_inspections{state=~\"planned|open|not_due\"}) > 0",
            )
            .describe(
                "Kiosks of the running periods by the dates planned for them. That an inspection was done cannot be \
                 entered yet, so nothing here says that one is late.",
            )
            .may_be_empty("各周期的窗口均已过 / the windows of all running periods are over"),
    ]
}
