//! One kiosk at this moment and over the last hours, from Prometheus.
use serde_json::json;

use super::{
    board::{Board, console, label},
    panel::{Panel, states},
};

pub(super) fn board() -> Board {
    let of = |metric: &str| format!("max({metric}{{kiosk=\"$kiosk\"}})");
    let devices = "max by (peripheral, kind) (kioskwatch_peripheral_up{kiosk=\"$kiosk\"})";
    Board {
        name: "kiosk",
        title: "单台终端 / One kiosk",
        description: "One terminal: reachable, in service, its devices. Needs series of single kiosks ([monitoring] per_kiosk).",
        from: "now-6h",
        refresh: "30s",
        variables: vec![label("kiosk", "终端 / Kiosk", "kioskwatch_kiosk_up", "kiosk", false), console()],
        panels: vec![
            Panel::stat("在线 / Reachable")
                .prom("__auto", &of("kioskwatch_kiosk_up"))
                .says_states()
                .size(6, 4),
            Panel::stat("服务中 / In service")
                .prom("__auto", &of("kioskwatch_kiosk_in_service"))
                .says_states()
                .size(6, 4),
            Panel::stat("最近心跳 / Since the last heartbeat")
                .prom(
                    "__auto",
                    &format!("time() - {}", of("kioskwatch_kiosk_last_heartbeat_timestamp_seconds")),
                )
                .unit("s")
                .describe(
                    "How long is too long is the kiosk's interval to say: 在线 / Reachable judges by it.",
                )
                .size(6, 4),
            Panel::stat("故障外设 / Peripherals that do not work")
                .prom("__auto", &format!("count({devices} == 0) or vector(0)"))
                .judged(&[(None, "green"), (Some(1.0), "red")])
                .size(6, 4),
            Panel::timeline("在线与服务 / Reachable and in service")
                .prom("在线 / reachable", &of("kioskwatch_kiosk_up"))
                .prom("服务中 / in service", &of("kioskwatch_kiosk_in_service"))
                .link("时间线 / Timeline in the console", "${console}/kiosks/${kiosk}")
                .link("开机率 / Uptime in the console", "${console}/kiosks/${kiosk}/uptime")
                .size(24, 7),
            Panel::timeline("外设 / Peripherals").prom("{{peripheral}}", devices).size(24, 8),
            Panel::table("外设现状 / Peripherals now")
                .prom("__auto", devices)
                .name("peripheral", "外设 / Peripheral")
                .name("kind", "类型 / Kind")
                .name("Value", "正常 / Works")
                .hide("Time")
                .column(
                    "正常 / Works",
                    &[("custom.cellOptions", json!({"type": "color-background"})), ("mappings", states())],
                )
                .size(24, 7),
        ],
    }
}
