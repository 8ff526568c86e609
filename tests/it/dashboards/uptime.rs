//! Uptime from Prometheus: today, this month and the last one, by fleet, site, region, customer, engineer and kiosk.
//! Enough without PostgreSQL.
use serde_json::json;

use super::{
    board::{Board, console, label, ratio},
    panel::{Panel, honest},
    verdict::{PROMISED, TARGET, TARGET_OF_LAST_MONTH},
};

const PERIODS: [(&str, &str, &str); 3] =
    [("today", "今天", "today"), ("month", "本月", "this month"), ("last_month", "上月", "last month")];

pub(super) fn board() -> Board {
    Board {
        name: "uptime",
        title: "开机率 / Uptime",
        description: "Whole seconds counted by the server, divided after summing; no ratio is averaged.",
        from: "now-7d",
        refresh: "1m",
        variables: vec![
            ratio(),
            label("site", "网点 / Site", "kioskwatch_site_kiosks", "site", true),
            console(),
        ],
        panels: [stats(), sites(), groups(), kiosks()].concat(),
    }
}

/// Seconds of a scope, summed and then divided.
fn divided(scope: &str, period: &str, more: &str) -> String {
    let of = |what: &str| {
        format!(
            "sum(max by (id) (kioskwatch_uptime_{what}_seconds{{{scope}, ratio=\"$ratio\", period=\"{period}\"{more}}}))"
        )
    };
    format!("({} / ({} > 0))", of("up"), of("accountable"))
}

/// The ratios of all groups of a scope, from the rule that divides them.
fn recorded(scope: &str, period: &str, more: &str) -> String {
    format!("scope:kioskwatch_uptime:ratio{{{scope}, ratio=\"$ratio\", period=\"{period}\"{more}}}")
}

const QUARTER: &str = "在控制台查看 / in the console";
const QUARTER_PAGE: &str = "${console}/uptime?span=quarter&measure=${ratio}";
const CHOSEN: &str = "scope=\"site\", id=~\"$site\"";

/// A month that is over is judged by what was promised for it.
fn target_of(period: &str) -> &'static str {
    match period {
        "last_month" => TARGET_OF_LAST_MONTH,
        _ => TARGET,
    }
}

fn of_period(period: &str) -> &'static str {
    match period {
        "last_month" => {
            "按上月当时的目标 / By the target that was promised for last month: the highest of the fleet, if there were two."
        }
        _ => "",
    }
}

fn stats() -> Vec<Panel> {
    let fleet = PERIODS.map(|(period, zh, en)| {
        Panel::stat(&format!("车队{zh} / Fleet {en}"))
            .describe(of_period(period))
            .prom_against(target_of(period), "__auto", |more| divided("scope=\"fleet\"", period, more))
            .prom_insufficient(&format!("scope=\"fleet\", period=\"{period}\""), false)
    });
    let chosen = PERIODS.map(|(period, zh, en)| {
        let told = ["Seconds of the chosen sites summed, then divided.", of_period(period)];
        Panel::stat(&format!("所选网点{zh} / Chosen sites {en}"))
            .describe(told.join("\n").trim_end())
            .prom_against(target_of(period), "__auto", |more| divided(CHOSEN, period, more))
            .prom_insufficient(&format!("{CHOSEN}, period=\"{period}\""), false)
    });
    let last = "上月尚无记录 / nothing was counted last month";
    let mut panels: Vec<Panel> = fleet.into_iter().chain(chosen).collect();
    for index in [2, 5] {
        panels[index] = panels[index].clone().may_be_empty(last);
    }
    panels
}

fn sites() -> Vec<Panel> {
    let mut panels = vec![
        Panel::series("本月至今 / This month so far")
            .prom("车队 / fleet", &honest("scope:kioskwatch_uptime:ratio{scope=\"fleet\", ratio=\"$ratio\", period=\"month\"}"))
            .prom("{{id}}", &honest("scope:kioskwatch_uptime:ratio{scope=\"site\", id=~\"$site\", ratio=\"$ratio\", period=\"month\"}"))
            .prom("目标 / target", PROMISED)
            .prom_insufficient(&format!("{CHOSEN}, period=\"month\""), true)
            .may_be_empty("全功能率没有目标线 / full function has no line of a target")
            .ratio()
            .column(
                "目标 / target",
                &[
                    ("custom.lineStyle", json!({"fill": "dash", "dash": [8, 6]})),
                    ("custom.fillOpacity", json!(0)),
                    ("color", json!({"mode": "fixed", "fixedColor": "red"})),
                ],
            )
            .size(24, 9),
    ];
    panels.extend(PERIODS.map(|(period, zh, en)| {
        let panel = Panel::bars(&format!("网点{zh} / Sites {en}"))
            .describe(of_period(period))
            .prom_against(target_of(period), "{{id}}", |more| recorded(CHOSEN, period, more))
            .prom_insufficient(&format!("{CHOSEN}, period=\"{period}\""), true)
            .size(8, 10);
        if period == "last_month" {
            panel.may_be_empty("上月尚无记录 / nothing was counted last month")
        } else {
            panel
        }
    }));
    panels.push(
        Panel::bars("本月允许停机时间已用 / Allowed down time used this month")
            .prom("{{scope}} {{id}}", "sort_desc(clamp_max(scope:kioskwatch_uptime_budget_used:ratio{scope=\"fleet\", ratio=\"$ratio\"} or scope:kioskwatch_uptime_budget_used:ratio{scope=\"site\", id=~\"$site\", ratio=\"$ratio\"}, 10))")
            .ratio()
            .judged(&[(None, "green"), (Some(0.8), "yellow"), (Some(1.0), "red")])
            .describe("What the target allows of the whole month, by the hours, dates of service and exclusions known now. 100 % used: met to the second; more: missed. Drawn up to 1000 %: of a target of 100 % any lost second is infinitely much."),
    );
    let month = |what: &str| {
        format!(
            "max by (id) (kioskwatch_uptime_{what}_seconds{{scope=\"site\", id=~\"$site\", ratio=\"$ratio\", period=\"month\"}})"
        )
    };
    let known =
        |what: &str| format!("max by (id) (kioskwatch_uptime_{what}_seconds{{{CHOSEN}, period=\"month\"}})");
    let coverage = format!("({0} / ({0} + {1} > 0))", known("known"), known("unknown"));
    panels.push(
        Panel::table("网点明细 / Sites in seconds, this month")
            .prom("__auto", &format!("{} - {}", month("accountable"), month("up")))
            .prom("__auto", &month("accountable"))
            .prom("__auto", &honest(&coverage))
            .name("id", "网点 / Site")
            .name("Value #A", "停机 / Down")
            .name("Value #B", "应计 / Accountable")
            .name("Value #C", "数据覆盖 / Coverage")
            .hide("Time")
            .column("停机 / Down", &[("unit", json!("s"))])
            .column("应计 / Accountable", &[("unit", json!("s"))])
            .column("数据覆盖 / Coverage", &[("unit", json!("percentunit")), ("decimals", json!(2))])
            .cell_link("网点 / Site", "控制台 / Console", "${console}/uptime?scope=site&id=${__value.text}")
            .sorted_by("停机 / Down", true),
    );
    panels
}

/// Regions, customers, engineers, causes, how much is known at all, and where quarters are.
fn groups() -> Vec<Panel> {
    let of = |title: &str, scope: &str| {
        let scope = format!("scope=\"{scope}\"");
        let ratio = |more: &str| recorded(&scope, "month", more);
        Panel::bars(title)
            .prom_against(TARGET, "{{id}}", ratio)
            .prom_insufficient(&format!("{scope}, period=\"month\""), true)
            .size(8, 9)
    };
    let seconds = |what: &str| {
        format!(
            "sum(max by (id) (kioskwatch_uptime_{what}_seconds{{scope=\"site\", id=~\"$site\", period=\"month\"}}))"
        )
    };
    let (known, unknown) = (seconds("known"), seconds("unknown"));
    vec![
        of("区域本月 / Regions this month", "region"),
        of("客户本月 / Customers this month", "customer"),
        of("工程师本月 / Engineers this month", "engineer")
            .tell("The same seconds as above, by who answered for them. Without what the customer's power, network and host cost: in the console.")
            .link("工程师 / Engineers in the console", "${console}/uptime?by=engineer&measure=${ratio}"),
        Panel::bars("本月停机原因 / Down time by cause, this month")
            .prom(
                "{{cause}}",
                "sort_desc(sum by (cause) (max by (id, cause) \
                 (kioskwatch_uptime_down_seconds{scope=\"site\", id=~\"$site\", period=\"month\"})))",
            )
            .unit("s")
            .describe("Of the chosen sites; together what 可用率 lacks.")
            .may_be_empty("本月没有停机 / nothing was down this month")
            .size(14, 9),
        Panel::stat("本月数据覆盖 / Coverage this month")
            .prom("__auto", &honest(&format!("({known} / ({known} + {unknown} > 0))")))
            .ratio()
            .judged(&[(None, "red"), (Some(0.9), "green")])
            .describe("How much of the time to answer for is known at all. Below 90 % the figures stand on too little.")
            .size(5, 9),
        Panel::stat("季度 / Quarter")
            .prom(QUARTER, "vector(1)")
            .says_name()
            .cell_link(QUARTER, "季度 / The quarter", QUARTER_PAGE)
            .link("季度 / The quarter", QUARTER_PAGE)
            .describe("Prometheus is told of days and months. The console adds up the months of a quarter, also without PostgreSQL.")
            .size(5, 9),
    ]
}

/// Needs series of single kiosks.
fn kiosks() -> Vec<Panel> {
    let month = |what: &str| {
        format!(
            "max by (id) (kioskwatch_uptime_{what}_seconds{{scope=\"kiosk\", ratio=\"$ratio\", period=\"month\"}})"
        )
    };
    vec![
        Panel::table("停机最长的十台 / Worst ten kiosks, this month")
            .prom("__auto", &format!("topk(10, {} - {} > 0)", month("accountable"), month("up")))
            .name("id", "终端 / Kiosk")
            .name("Value", "停机 / Down")
            .hide("Time")
            .column("停机 / Down", &[("unit", json!("s"))])
            .cell_link(
                "终端 / Kiosk",
                "区间与证据 / Intervals and evidence",
                "${console}/kiosks/${__value.text}/uptime?measure=${ratio}",
            )
            .sorted_by("停机 / Down", true)
            .describe("Of the whole fleet, whatever sites are chosen. How much is known of each is in the console. Kiosks have series of their own by [monitoring] per_kiosk.")
            .may_be_empty("本月没有停机，或没有单台序列 / nothing was down this month, or kiosks have no series of their own")
            .size(24, 9),
    ]
}
