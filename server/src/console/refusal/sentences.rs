//! Every sentence by which rules and doors refuse, and the same in Chinese. A test finds those that are missing.

/// As the rules say it, and in Chinese; `{}` is what the rules put in, in the same order.
pub(super) const SENTENCES: &[(&str, &str)] = &[
    // Tickets.
    ("the ticket was not opened", "工单未能建立"),
    ("source: people's tickets come by call, portal or station", "来源须为电话、门户或站点"),
    ("this version cannot {} a ticket yet; see server/README.md", "本版本尚不支持对工单执行“{}”"),
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
    ("the command is no longer valid", "指令已失效"),
    ("the requester cannot approve", "申请人不能批准自己的申请"),
    ("the requester cancels, others reject", "申请人可撤回，由他人驳回"),
    ("the command was sent already", "指令已发出"),
    ("the command does not wait for approval", "此指令无需批准"),
    ("the command has ended: {}", "指令已结束：{}"),
    ("the command was not made", "指令未能建立"),
    ("args take {} bytes, {} are allowed", "参数为 {} 字节，上限 {} 字节"),
    ("the kiosk is not in service", "终端未投运"),
    ("too many commands of this kiosk are open", "该终端尚未完成的指令过多"),
    ("the agent does not offer {}", "终端上的代理程序不支持“{}”"),
    ("the kiosk has no peripheral {}: it has {}", "终端没有外设“{}”，现有：{}"),
    // Decisions about figures.
    (
        "more came in since it was proposed: look at the proposal that follows",
        "提案之后又有新数据，请查看随后的提案",
    ),
    ("the month is not over", "该月尚未结束"),
    (
        "the server's clock is behind what its database knows: nothing is decided until it is right",
        "服务器时钟落后于数据库中的记录，时钟校正之前不能审批或登记",
    ),
    (
        "only month figures, restatements, corrections, calendars, engineers and models are booked",
        "只能登记月度数据、更正、日历、工程师和机型",
    ),
    ("changed is a kind of input", "“仅变动”须为一种输入"),
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
    ("an exclusion is for a kiosk or for a site", "剔除须针对一台终端或一个网点"),
    ("an exclusion ends after it begins", "剔除的结束须晚于开始"),
    ("an exclusion needs its class", "请填写剔除的类别"),
    ("which exclusion is it?", "请指明是哪一项剔除"),
    ("exclusion is missing: which is taken back?", "请指明要撤回哪一项剔除"),
    ("nobody approved it: it forgives nothing", "此项未经批准，没有剔除任何时间"),
    ("it was taken back already: {} agreed at {}", "此项已撤回：{} 于 {} 同意"),
    ("who stood there? name the kiosk", "请指明是哪台终端"),
    ("for whom? name the kiosk", "请指明是哪台终端"),
    ("what was it? name the kiosk", "请指明是哪台终端"),
    ("dates are a kiosk's: name it", "日期属于终端，请指明终端"),
    ("a time zone is a site's", "时区属于网点"),
    ("service_hours is missing", "请填写营业时间"),
    ("timezone is missing", "请填写时区"),
    ("from and to are missing: which time is it about?", "请填写开始和结束时间"),
    (
        "kind is exclusion, withdrawal, stood_at, answered_for, was_model, belonged_to, service_hours, timezone or commissioning",
        "请选择更正的种类",
    ),
    ("a name has 1 to {} characters; left out: nobody", "名称须为 1 至 {} 个字符；留空表示无人"),
    ("engineer: a name has 1 to {} characters; null: nobody", "工程师名称须为 1 至 {} 个字符；留空表示无人"),
    (
        "this is what is known of all of that time: nothing would change",
        "与该时间段内已知的情况相同，没有任何改变",
    ),
    (
        "to whom the {} belonged in that time was said anew since: ask again",
        "该时间段内{}的归属已被更改，请重新申请",
    ),
    ("whose was it? name the site", "请指明是哪个网点"),
    (
        "to whom a site belonged is said and decided by those who see all sites",
        "网点的归属只能由可见所有网点的人员申请和批准",
    ),
    ("region, customer or both: to whom should it have belonged?", "请填写应归属的区域、客户或两者"),
    ("a name has at most {} characters", "名称最多 {} 个字符"),
    ("it ends at {} and begins at {}: it must end later", "结束 {} 须晚于开始 {}"),
    ("it ends at {}, which has not been yet", "结束 {} 尚未到来"),
    ("it ends more than {} days ahead", "结束时间在 {} 天以后，过远"),
    ("it begins more than {} days ago", "开始时间在 {} 天以前，过早"),
    ("time is forgiven to a kiosk or to a site: name one of them", "请指明一台终端或一个网点"),
    ("these are the service hours already", "与现有营业时间相同"),
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
    // Time that has been, which one person does not change.
    (
        "this changes time that has been: at {} ({}) {}. Keep the old hours and add the new ones as a version with \
         effective_from of a coming date; if the past was entered wrong, ask for a correction, which somebody else \
         approves",
        "这会改变过去的时间：{}（{}）{}。请保留原营业时间，并以带将来 effective_from 的版本加入新营业时间；若过去填写有误，\
         请申请更正，由他人批准",
    ),
    (
        "this closes the site at {} ({}), which is less than {} h ahead: nobody takes time so near out of the figures \
         alone. Let the new hours begin later, or ask for that time to be forgiven, which somebody else approves",
        "网点将于 {}（{}）关闭，距今不足 {} 小时：如此临近的时间不能由一人剔除。请让新营业时间晚些开始，或申请剔除该时间，由他人批准",
    ),
    (
        "the kiosk is down since {}, and from {} on it would not answer for that any more: say so once it works again; \
         or ask for a correction once that time has come, which somebody else approves",
        "终端自 {} 起停机，而从 {} 起将不再计入：请待其恢复后再填写，或到时申请更正，由他人批准",
    ),
    (
        "this changes time that has been, because nothing says where the kiosk stood until now: at {} ({}) {}. First ask \
         for a correction of its commissioned_at to a day to come, which somebody else approves, and then give it its \
         site; the time before counts there by a second correction",
        "这会改变过去的时间，因为此前未记录终端所在网点：{}（{}）{}。请先申请把投运日期更正为将来的日期，由他人批准，\
         再填写网点；此前的时间再用一次更正计入该网点",
    ),
    (
        "by these dates the kiosk would count in months that are fixed, or before the hours of its site were entered: its \
         first commissioned_at is {} ({} in {}) or later. Give that one, from which it counts; if it has to count before, \
         ask for a correction of it then, which somebody else approves",
        "按此日期，终端将计入已定稿的月份，或早于其网点营业时间的录入：首次投运不得早于 {}（{}，{}）。请填写该日期，自此计入；\
         若须更早计入，请随后申请更正，由他人批准",
    ),
    (
        "these first dates end at {}, which has been: nobody cuts alone what counts out of time that has been. Leave \
         decommissioned_at empty, or give it as of now or to come; if the kiosk left before, ask for a correction of its \
         dates then, which somebody else approves",
        "首次日期止于已过去的 {}：过去的计入时间不能由一人截去。请将停用日期留空，或填写现在或将来；若终端此前已撤走，\
         请随后申请更正日期，由他人批准",
    ),
    (
        "this changes time that has been: at {} the kiosk {} and {} by these dates. Dates to come and a decommissioning or \
         a return as of now are free; to put a kiosk back into service leave commissioned_at out and decommissioned_at \
         empty; if a date was entered wrong, ask for a correction, which somebody else approves",
        "这会改变过去的时间：{} 终端{}，按此日期{}。将来的日期以及即时停用或恢复可自行填写；重新投运时请不填投运日期并将\
         停用日期留空；若日期填写有误，请申请更正，由他人批准",
    ),
    // The door.
    ("the role {} may not {}", "当前角色“{}”没有此权限"),
    (
        "this request came from another site; send it from the console, or with a token",
        "此请求来自其他网站，请在本控制台内操作",
    ),
    ("open access answers under a loopback name only", "免登录访问只接受本机名称"),
    (
        "the audit tells of the whole fleet; this token sees only some sites",
        "审计涉及整个车队，当前令牌只能看到部分网点",
    ),
    ("language: zh-CN or en", "语言须为 zh-CN 或 en"),
    ("no more live streams; see [http] max_sse", "实时连接已达上限，参见 [http] max_sse"),
    (
        "this part of the database is damaged; the server's log says where",
        "数据库的这一部分已损坏，位置见服务器日志",
    ),
    ("more than 100 requests a second with one token", "同一令牌每秒请求超过 100 次"),
    // What was asked.
    ("name: a site needs one", "请填写网点名称"),
    ("timezone: {} is no IANA zone like Asia/Shanghai", "时区：“{}”不是 IANA 时区名（例如 Asia/Shanghai）"),
    ("{}: {} is none of the words this field takes", "“{}”不接受“{}”"),
    (
        "{}={} is no RFC 3339 time such as 2026-11-21T08:00:00Z",
        "“{}”={} 不是 RFC 3339 时间，例如 2026-11-21T08:00:00Z",
    ),
    ("{} is no {} of this: expected {}", "“{}”不是此处的{}，应为：{}"),
    ("from must lie before to", "开始须早于结束"),
    ("the period is longer than {} days", "时间段超过 {} 天"),
    ("month={} is no month: {}", "“{}”不是月份：{}"),
    ("a month is written like 2026-10", "月份的写法如 2026-10"),
    ("give month, or from and to", "请指明月份，或开始和结束"),
    ("scope={} needs an id", "范围“{}”须指明编号"),
    ("id: a name has at most {} characters, this one has {}", "名称最多 {} 个字符，现为 {} 个"),
    ("scope is one of {}", "范围须为下列之一：{}"),
    ("measure is one of {}", "指标须为下列之一：{}"),
    ("{} is none of {}", "“{}”不是下列之一：{}"),
    ("{} is no IANA zone like Asia/Shanghai", "“{}”不是 IANA 时区名（例如 Asia/Shanghai）"),
    // Said of whatever is not there.
    ("no such kiosk", "没有此终端"),
    ("no such open command", "没有此项未完成的指令"),
    ("no such {}", "没有此对象：{}"),
    ("no kiosk {}", "没有终端 {}"),
    ("no site {}", "没有网点 {}"),
];
