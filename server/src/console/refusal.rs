//! Why something was refused, in the reader's words and on the wall clock of the place.
//!
//! Rules refuse in one English sentence, which the API sends as it is. Here stand those that can come back from a form
//! of the console; one that is not among them is shown as it came, after a word that it is a refusal.
use chrono_tz::Tz;
use kioskwatch_domain::wall;
use kioskwatch_proto::Timestamp;

use super::texts::Texts;
use crate::config::Language;

/// As the rules say it, and in Chinese; `{}` is what the rules put in, in the same order.
const SENTENCES: &[(&str, &str)] = &[
    // Tickets.
    ("no such ticket that may still change", "此工单已不能再更改"),
    ("only an open ticket can be urged", "只能对未结工单催单"),
    ("only open work can be resolved", "只有尚未恢复的工单可以登记恢复"),
    ("a resolution states cause and solution", "处理结果须写明原因和处理方法"),
    ("a fault of this ticket is still raised", "终端仍在上报本工单的故障，故障消失后才能登记恢复"),
    ("only a resolved ticket can be closed", "只有已恢复的工单可以关闭"),
    ("a ticket closes with its resolution only", "没有处理结果的工单不能关闭"),
    ("{} is no sign-off", "“{}”不是签认方式"),
    ("somebody was there: the customer signs", "已有人到场，须由客户签字"),
    ("a ticket in {} is not cancelled", "状态为“{}”的工单不能撤销"),
    ("{} is no ground for cancelling", "“{}”不是撤单理由"),
    ("a cancel states its reason", "撤单须写明原因"),
    ("only a resolved or closed ticket comes back", "只有已恢复或已关闭的工单可以重开"),
    ("closed more than seven days ago: open a new ticket", "关闭已超过七天，请新建工单"),
    ("{}: {} needs it", "请填写内容"),
    // Commands.
    ("the kiosk is not in service", "终端未投运"),
    ("too many commands of this kiosk are open", "该终端尚未完成的指令过多"),
    ("the agent does not offer {}", "终端上的代理程序不支持“{}”"),
    ("the kiosk has no peripheral {}: it has {}", "终端没有外设“{}”，现有：{}"),
    // Decisions about figures.
    ("it is {} already", "此事项{}"),
    ("these figures measure you: somebody else decides", "这些数据考核的是您本人，须由他人决定"),
    ("you asked for it: somebody else decides", "这是您提出的申请，须由他人决定"),
    ("a reason has 1 to {} characters", "理由须为 1 至 {} 个字符"),
    ("Choose at least one of the restatements above.", "请至少选择一项上方的更正提案。"),
    ("name 1 to {} proposals", "请选择 1 至 {} 项"),
    ("the days for restating this month are over", "该月的更正期限已过"),
    (
        "more is known by now than its figures say: look again in a minute, at the proposal that follows",
        "现在已有比提案更新的数据，请一分钟后查看随后的提案",
    ),
    ("what was received until now is not saved yet; try again", "已收到的数据尚未保存，请重试"),
    // Corrections.
    ("it ends at {} and begins at {}: it must end later", "结束 {} 须晚于开始 {}"),
    ("it ends at {}, which has not been yet", "结束 {} 尚未到来"),
    ("it ends more than {} days ahead", "结束时间在 {} 天以后，过远"),
    ("it begins more than {} days ago", "开始时间在 {} 天以前，过早"),
    ("time is forgiven to a kiosk or to a site: name one of them", "请指明一台终端或一个网点"),
    ("these are the service hours already", "与现有营业时间相同"),
    ("{} is none of {}", "“{}”不是下列之一：{}"),
    (
        "agreed_at belongs to planned work that has begun: work to come is agreed when somebody else approves it",
        "约定时间仅用于已开始的计划维护；将来的维护以他人批准的时间为准",
    ),
    (
        "planned work that has begun needs agreed_at: when it had been agreed",
        "已开始的计划维护须填写约定时间",
    ),
    (
        "planned work is agreed at least {} h before it begins; this was at {}",
        "计划维护至少在开始前 {} 小时约定；此次约定于 {}",
    ),
    ("agreed_at belongs to planned work only", "约定时间仅用于计划维护"),
    (
        "planned work is approved at least {} h before it begins, and this begins at {}: it is too late for it; \
         choose a later time",
        "计划维护至少在开始前 {} 小时批准；此次开始于 {}，已来不及，请选择更晚的时间",
    ),
    (
        "outside of the time to correct nothing may change; at {} ({}) the site was {} and would be {}: keep the old \
         hours there as versions with effective_from",
        "更正时间段以外不得改变；{}（{}）网点原为{}，将变为{}：请用带 effective_from 的版本保留原营业时间",
    ),
    (
        "the site would be open as before in the time to correct: nothing would change",
        "更正时间段内网点的营业时间与原来相同，没有任何改变",
    ),
    ("{} is no IANA zone like Asia/Shanghai", "“{}”不是 IANA 时区名（例如 Asia/Shanghai）"),
    ("this is the time zone already", "与现有时区相同"),
    (
        "no time that has been would change: give the site the zone without a correction",
        "不影响过去的时间：可直接更改网点时区，无需更正",
    ),
    (
        "no time that has been would change: give the kiosk the dates without a correction",
        "不影响过去的时间：可直接更改终端日期，无需更正",
    ),
    ("commissioned_at: from when on should it have counted?", "请填写应从何时起计入"),
    (
        "it is in service until {}: from when on it is again can be said once that has passed",
        "终端在 {} 之前仍计入；此后才能填写重新投运的时间",
    ),
    (
        "it was taken out of service and back {} times, which is the most",
        "该终端已停用并重新投运 {} 次，达到上限",
    ),
    ("the kiosk's dates of service were changed since: ask again", "终端的启停用日期已被更改，请重新申请"),
    ("the site's service hours were changed since: ask again", "网点营业时间已被更改，请重新申请"),
    ("the site's time zone was changed since: ask again", "网点时区已被更改，请重新申请"),
    ("service hours are a site's: name it", "营业时间属于网点，请指明网点"),
    ("a time zone is a site's: name it", "时区属于网点，请指明网点"),
    ("a correction is about a kiosk or about a site: name one", "更正须针对一台终端或一个网点"),
    ("{}: {} is no date and time such as 2026-11-21T08:00", "“{}”不是日期和时间：{}"),
    ("verdict is approve or reject", "请选择批准或驳回"),
    // The door.
    ("the role {} may not {}", "当前角色“{}”没有此权限"),
    (
        "this request came from another site; send it from the console, or with a token",
        "此请求来自其他网站，请在本控制台内操作",
    ),
];

/// A refusal as its reader reads it.
pub(super) fn told(t: &'static Texts, zone: Tz, detail: &str) -> String {
    let told = match t.language {
        Language::En => detail.to_owned(),
        Language::ZhCn => translated(t, detail).unwrap_or_else(|| format!("{}：{detail}", t.refused)),
    };
    on_the_wall(zone, &told)
}

fn translated(t: &'static Texts, detail: &str) -> Option<String> {
    let (values, sentence) =
        SENTENCES.iter().find_map(|(rule, told)| Some((values_of(rule, detail)?, *told)))?;
    let word = |value: &str| {
        let words = value.split(", ").map(|word| word.trim_matches('"'));
        words.map(|word| t.word_of("field", word)).collect::<Vec<_>>().join("、")
    };
    Some(values.iter().fold(sentence.to_owned(), |sentence, value| sentence.replacen("{}", &word(value), 1)))
}

/// What a rule put into its sentence; `None`: it is another sentence.
fn values_of<'a>(rule: &str, detail: &'a str) -> Option<Vec<&'a str>> {
    let mut parts = rule.split("{}");
    let mut rest = detail.strip_prefix(parts.next()?)?;
    let mut values = Vec::new();
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let at = match (part, parts.peek()) {
            (part, None) => rest.strip_suffix(part)?.len(),
            (part, Some(_)) => rest.find(part)?,
        };
        values.push(&rest[..at]);
        rest = &rest[at + part.len()..];
    }
    rest.is_empty().then_some(values)
}

/// Instants as the clock of the place shows them.
fn on_the_wall(zone: Tz, text: &str) -> String {
    let mut told = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('Z') {
        // An instant has 20 characters, or 24 with its milliseconds, of one byte each.
        let instant = [24, 20].into_iter().find_map(|length| {
            let from = (at + 1).checked_sub(length)?;
            Some((from, Timestamp::parse(rest.get(from..=at)?).ok()?))
        });
        match instant {
            Some((from, instant)) => {
                told.push_str(&rest[..from]);
                told.push_str(&wall::told(zone, instant));
            }
            None => told.push_str(&rest[..=at]),
        }
        rest = &rest[at + 1..];
    }
    told + rest
}

#[cfg(test)]
mod tests {
    use chrono_tz::Asia::Shanghai;

    use super::*;

    fn zh(detail: &str) -> String {
        told(Texts::of(Language::ZhCn), Shanghai, detail)
    }

    #[test]
    fn a_refusal_is_told_in_the_readers_words_with_what_the_rule_put_in() {
        assert_eq!(zh("it is approved already"), "此事项已批准");
        assert_eq!(zh("a ticket in on_site is not cancelled"), "状态为“到场”的工单不能撤销");
        assert_eq!(
            zh("\"weather\" is none of planned, force_majeure"),
            "“weather”不是下列之一：计划维护、不可抗力"
        );
        assert_eq!(
            zh("the kiosk has no peripheral \"ups\": it has printer"),
            "终端没有外设“UPS 电源”，现有：打印机"
        );
        assert_eq!(zh("the moon is full"), "被拒绝：the moon is full");
    }

    #[test]
    fn instants_stand_on_the_wall_clock_of_the_place_in_every_language() {
        let detail = "it ends at 2026-11-21T08:00:00.000Z, which has not been yet";
        assert_eq!(zh(detail), "结束 2026-11-21 16:00:00 +08:00 尚未到来");
        let en = told(Texts::of(Language::En), Shanghai, detail);
        assert_eq!(en, "it ends at 2026-11-21 16:00:00 +08:00, which has not been yet");
        assert_eq!(
            on_the_wall(Shanghai, "Zulu 卡Z 2026-11-21T08:00:00Z"),
            "Zulu 卡Z 2026-11-21 16:00:00 +08:00"
        );
    }

    #[test]
    fn every_sentence_keeps_what_the_rule_put_in_or_leaves_all_of_it_out() {
        for (rule, told) in SENTENCES {
            let [in_rule, in_told] = [rule, told].map(|text| text.matches("{}").count());
            assert!(in_told <= in_rule && !told.is_ascii(), "{rule}: {told}");
            assert_eq!(values_of(rule, rule).map(|values| values.len()), Some(in_rule), "{rule}");
        }
    }
}
