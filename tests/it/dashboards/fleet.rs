//! The fleet at this moment, from Prometheus.
use serde_json::json;

use super::{
    board::{Board, console, label},
    panel::{FEW_IS_GOOD, NONE_IS_GOOD, Panel},
};

/// Panels that need one series for each kiosk.
const EACH: &str =
    "每台终端的序列按 [monitoring] per_kiosk 输出 / single kiosks have series by [monitoring] per_kiosk";

pub(super) fn board() -> Board {
    Board {
        name: "fleet",
        title: "车队现状 / Fleet now",
        description: "Which kiosks, sites and devices are not working at this moment.",
        from: "now-6h",
        refresh: "30s",
        variables: vec![label("site", "网点 / Site", "kioskwatch_site_kiosks", "site", true), console()],
        panels: [numbers(), lists()].concat(),
    }
}

fn numbers() -> Vec<Panel> {
    let state = |word: &str| format!("max(kioskwatch_kiosks{{state=\"{word}\"}})");
    vec![
        Panel::stat("终端总数 / Kiosks").prom("__auto", "sum(fleet:kioskwatch_kiosks:max)"),
        Panel::stat("在线 / Online").prom("__auto", &state("online")).judged(&[(None, "green")]),
        Panel::stat("迟到 / Late").prom("__auto", &state("late")).judged(FEW_IS_GOOD),
        Panel::stat("离线 / Offline").prom("__auto", &state("offline")).judged(NONE_IS_GOOD),
        Panel::stat("未知 / Unknown").prom("__auto", &state("unknown")).judged(FEW_IS_GOOD),
        Panel::stat("服务中 / In service")
            .prom("__auto", "sum(max by (kiosk) (kioskwatch_kiosk_in_service))")
            .judged(&[(None, "green")])
            .describe(EACH),
    ]
}

fn lists() -> Vec<Panel> {
    vec![
        Panel::series("终端状态 / Kiosks by presence").prom("{{state}}", "fleet:kioskwatch_kiosks:max").stacked(),
        Panel::bars("故障 / Open faults")
            .prom("{{fault}}", "sum by (fault) (max by (kind, fault, severity) (kioskwatch_faults_active)) > 0")
            .judged(FEW_IS_GOOD)
            .may_be_empty("没有未消除的故障 / no fault is open"),
        Panel::table("网点 / Sites")
            .prom("__auto", "sum by (site) (site:kioskwatch_kiosks_offline:sum{site=~\"$site\"})")
            .prom("__auto", "sum by (site) (site:kioskwatch_kiosks:sum{site=~\"$site\"})")
            .prom("__auto", "sum by (site) (site:kioskwatch_kiosks_expected:sum{site!=\"\", site=~\"$site\"})")
            .name("site", "网点 / Site")
            .name("Value #A", "离线 / Offline")
            .name("Value #B", "终端 / Kiosks")
            .name("Value #C", "应在线 / Should be on now")
            .hide("Time")
            .column(
                "离线 / Offline",
                &[
                    ("custom.cellOptions", json!({"type": "color-background"})),
                    ("thresholds", json!({"mode": "absolute", "steps": [
                        {"color": "green", "value": null}, {"color": "red", "value": 1},
                    ]})),
                ],
            )
            .cell_link("网点 / Site", "控制台 / Console", "${console}/?q=${__value.text}")
            .sorted_by("离线 / Offline", true),
        Panel::table("失联终端 / Silent kiosks")
            .prom(
                "__auto",
                "(time() - max by (kiosk, site) (kioskwatch_kiosk_last_heartbeat_timestamp_seconds{site=~\"$site\"})) \
                 and on (kiosk) max by (kiosk) (kioskwatch_kiosk_up) == 0",
            )
            .prom(
                "__auto",
                "max by (kiosk, site) (kioskwatch_kiosk_expected{site=~\"$site\"}) \
                 and on (kiosk) max by (kiosk) (kioskwatch_kiosk_up) == 0 \
                 and on (kiosk) kioskwatch_kiosk_last_heartbeat_timestamp_seconds",
            )
            .name("kiosk", "终端 / Kiosk")
            .name("site", "网点 / Site")
            .name("Value #A", "失联时长 / Silent for")
            .name("Value #B", "应在线 / Should be on now")
            .hide("Time")
            .column("失联时长 / Silent for", &[("unit", json!("s"))])
            .cell_link("终端 / Kiosk", "控制台 / Console", "${console}/kiosks/${__value.text}")
            .sorted_by("失联时长 / Silent for", true)
            .may_be_empty("没有失联终端 / no kiosk is silent"),
        Panel::table("外设故障 / Peripherals that do not work")
            .prom(
                "__auto",
                "max by (kiosk, site, peripheral, kind) (kioskwatch_peripheral_up{site=~\"$site\"}) == 0 \
                 and on (kiosk) max by (kiosk) (kioskwatch_kiosk_up) == 1",
            )
            .name("kiosk", "终端 / Kiosk")
            .name("site", "网点 / Site")
            .name("peripheral", "外设 / Peripheral")
            .name("kind", "类型 / Kind")
            .hide("Time")
            .hide("Value")
            .cell_link("终端 / Kiosk", "控制台 / Console", "${console}/kiosks/${__value.text}")
            .may_be_empty("外设全部正常 / every peripheral works"),
        Panel::series("外设故障数 / Peripherals that do not work, by kind")
            .prom("{{kind}}", "count by (kind) (max by (kiosk, peripheral, kind) (kioskwatch_peripheral_up) == 0)")
            .stacked()
            .may_be_empty("外设全部正常 / every peripheral works"),
    ]
}
