//! What the console says, one file per language.
//!
//! A page asks for a text by a field name, so a text that is missing in a language does not compile. Words of
//! the API (states, actions) are looked up; a test holds both lists equal and complete.
mod en;
mod zh;

use kioskwatch_proto::{
    PeripheralName,
    faults::{Catalogue, FaultCode},
};

use crate::config::Language;

macro_rules! texts {
    ($($name:ident),+ $(,)?) => {
        /// The sentences of one language.
        #[derive(Debug)]
        pub(crate) struct Texts {
            /// For `<html lang>`.
            pub(crate) lang: &'static str,
            pub(crate) language: Language,
            /// Words of the API → words for people.
            words: &'static [(&'static str, &'static str)],
            $(pub(crate) $name: &'static str,)+
        }

        impl Texts {
            #[cfg(test)]
            fn all(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name)),+]
            }
        }
    };
}

texts! {
    fault_title, product, skip_to_content, nav_fleet, nav_tickets, sign_out, other_language,
    signed_in_as, demo_note, live_on, live_off, fleet_title, fleet_subtitle, kiosks, sites,
    open_tickets, breached, all, problems, search, search_hint, show, deaf, no_kiosks, no_kiosks_hint,
    no_match, without_site, healthy, more_hidden, last_seen, never, ago_s, ago_min, ago_h, ago_d,
    in_future, all_well, need_attention, no_open_tickets, see_all, kiosk, model, serial_no, presence,
    service, reason, peripherals, peripheral, no_peripherals, first_steps, parts, who_fixes, severity,
    today, this_month, uptime_on, uptime_avail, uptime_full, coverage, coverage_low, timeline,
    timeline_hint, timeline_none, changes, no_changes, self_test, self_test_warning, self_test_all,
    self_test_start, self_test_need_role, progress, result, waits_for_kiosk, recent_commands,
    no_commands, cpu, memory, disk, temperature, agent_version, commissioned, decommissioned, interval, admission_wait,
    flood_hint, flood_dropped, flood_since, flood_until,
    ticket, clocks, no_clocks, due, left, overdue_by, met_at, budget, paused_with, history, incidents,
    no_incidents, still_there, children, parent, assignee, nobody, priority, class, source, zone,
    detected, reported, restored, signed, closed, note_hint, note_add, note_need_role, decision,
    raw_bytes, device_says, resolution, cancel_reason, tickets_title, tickets_open, tickets_closed,
    ticket_none, next_page, sign_in, sign_in_hint, token, token_wrong, signed_out, error_back,
    error_404, error_410, error_403, error_503, error_500, error_400, error_429, error_code, not_found_hint,
    removed_hint,
    steps_none, recovering, uptime_title, weekdays, month_runs, month_frozen, month_waits, target,
    target_met, target_missed, target_far, lost, calendar_title, calendar_hint, day_ahead, day_none,
    trend_title, trend_later, causes_title, nothing_lost, intervals_title, whole_month, counted_up,
    counted_down, counted_left_out, not_counted, no_intervals, earlier_intervals, further_intervals, sum, evidence_title,
    evidence_none, evidence_too_late, evidence_journal, evidence_live, evidence_outage, evidence_exclusion, asked_by,
    approved_by, why_evidence, why_silence, why_silence_deaf, why_service_unknown,
    why_service_unknown_deaf, why_heartbeats, why_no_heartbeats, why_server_down, why_forgotten,
    evidence_forgotten, record, record_said,
    record_placed, arrived, record_journal, record_digest, uptime_onward, months, allowed_left, over_by,
    one_more_hour, outages, outages_by_cause, not_told_by_cause, times, times_hint, longest_outage, mtbf, mttr, excluded_time, before_exclusions, whole_fleet,
    unassigned, worst_title, parts_title, no_parts, parts_cut, span_month, span_quarter, restated,
    as_of, figures_differ, nothing_below, answers_for,
    nav_decisions, decisions_title, decisions_hint, decisions_open, decisions_done, decisions_none_open, decisions_none_done, restatements_title, restatements_hint, corrections_title, corrections_hint, restatement, correction, correction_ask, correction_ask_hint, times_of_zone, correction_forgive, correction_forgive_hint, correction_withdraw, correction_withdraw_hint, takes_back, withdrawn, correction_class, correction_from, correction_to, agreed_at, agreed_at_hint, correction_reason, correction_send, correction_need_role, correction_hours, correction_hours_hint, correction_hours_of_site, correction_dates, correction_dates_hint, correction_stood_at, correction_answered_for, correction_was_model, correction_assigned_hint, correction_belonged_to, correction_belonged_to_hint, as_it_was, correction_zone, correction_zone_hint, zone_after, hours_now, hours_after, always_open, correction_says, correction_effect_hint, correction_no_effect, month_closed, months_closed, engineer_kpi, unreadable, not_booked, months_further, decision_title, decision_compare, decision_figure, decision_before, decision_after, decision_moved, changed_since, fingerprint, accountable_time, decision_reason, decision_approve, decision_reject, approve_restatement_hint, approve_correction_hint, decided_by, decided_at, decided_already, decide_need_role, measures_you, you_asked, restatement_waits, see_decisions,
    decide_choose, decide_choose_all, decide_many_title, decide_many_hint, decide_narrow, decide_widen, decide_any, decide_changed_only, decided_many_title, decided_many_back, decided_many_refused, decided_many_refused_hint, decided_many_nothing, outages_of_quarter,
    nav_inspections, inspections_title, inspections_hint, inspections_none, report_due,
    inspection_provisional,
    work_title, work_choice, urge_do, urge_hint, resolve_do, resolve_hint, close_do, close_hint,
    cancel_do, cancel_hint, reopen_do, reopen_hint,
    refused,
    of_these_resolved,
    because_site_dropped, because_many_kiosks, because_joins_batch, because_worse, because_gone,
    because_stayed_gone, because_batch_resolved, because_quiet, because_clock, because_repeat_call,
    because_dropped_together, because_other_content, because_other_when_sent_again, by_rule, until,
    server_says, sign_off,
}

impl Texts {
    pub(crate) fn of(language: Language) -> &'static Self {
        match language {
            Language::ZhCn => &zh::TEXTS,
            Language::En => &en::TEXTS,
        }
    }

    /// A word of the API for people; one that nobody knows is shown as it came.
    pub(crate) fn word<'a>(&self, word: &'a str) -> &'a str
    where
        'static: 'a,
    {
        self.words.iter().find(|(key, _)| *key == word).map_or(word, |(_, text)| text)
    }

    /// A word that means something of its own in one place, such as `planned` of a shutdown; elsewhere as anywhere.
    pub(crate) fn word_of<'a>(&self, place: &str, word: &'a str) -> &'a str
    where
        'static: 'a,
    {
        let is_it = |key: &str| key.strip_prefix(place).and_then(|rest| rest.strip_prefix('.')) == Some(word);
        self.words.iter().find(|(key, _)| is_it(key)).map_or_else(|| self.word(word), |(_, text)| text)
    }

    pub(crate) fn knows(&self, word: &str) -> bool {
        self.words.iter().any(|(key, _)| *key == word)
    }

    /// An agent's reason for a command's state; what has no words is shown as it came.
    pub(crate) fn reason<'a>(&self, reason: &'a str) -> &'a str
    where
        'static: 'a,
    {
        let known = self.words.iter().find(|(key, _)| key.strip_prefix("reason.") == Some(reason));
        known.map_or(reason, |(_, text)| text)
    }

    /// The name of a fault, with its sub-code.
    pub(crate) fn fault(&self, catalogue: &Catalogue, code: &FaultCode) -> String {
        let name = match (catalogue.get(code), self.language) {
            (Some(entry), Language::ZhCn) => entry.zh.as_str(),
            (Some(entry), Language::En) => entry.en.as_str(),
            (None, _) => code.base(),
        };
        match code.sub() {
            Some(sub) => format!("{name} ({sub})"),
            None => name.to_owned(),
        }
    }

    /// The same with the device that has it; the host's needs none.
    pub(crate) fn fault_at(&self, catalogue: &Catalogue, device: &str, code: &FaultCode) -> String {
        let fault = self.fault(catalogue, code);
        let host = PeripheralName::host();
        if device == host.as_str() { fault } else { format!("{fault} · {}", self.word(device)) }
    }

    pub(crate) fn part(&self, catalogue: &Catalogue, key: &str) -> String {
        match (catalogue.part(key), self.language) {
            (Some(part), Language::ZhCn) => part.zh.clone(),
            (Some(part), Language::En) => part.en.clone(),
            (None, _) => key.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use kioskwatch_domain::{
        change::{
            Admission, ClockState, CommandState, CorrectionState, InputKind, PresenceVerdict, RecordOutcome,
            RestatementState, TicketSource, TicketState, Zone,
        },
        command::{MONEY_AND_CARD_KINDS, UNANSWERED},
        fleet::{BootWay, ClockName},
        inspection::{InspectionState, Kind, ReportState},
        presence::PresenceReason,
        ticket::{CANCEL_GROUNDS, Deed, SELF_RECOVERED, SIGN_OFFS},
        triage::{DecisionWord, HoldReason, ShareReason, SuppressReason},
        uptime::{Cause, ExclusionClass},
    };
    use kioskwatch_proto::{
        command::Action,
        faults::{FaultClass, WhoCanFix},
        words::{PeripheralStatus, PortMode, ServiceState, Severity, ShutdownReason},
    };

    use crate::auth::Role;

    use super::*;

    #[test]
    fn both_languages_say_everything_and_know_the_same_words() {
        for texts in [&zh::TEXTS, &en::TEXTS] {
            for (name, text) in texts.all() {
                assert!(!text.trim().is_empty(), "{}: {name}", texts.lang);
            }
        }
        let keys = |texts: &Texts| {
            let mut keys: Vec<_> = texts.words.iter().map(|(key, _)| *key).collect();
            keys.sort_unstable();
            keys
        };
        assert_eq!(keys(&zh::TEXTS), keys(&en::TEXTS));
        let mut unique = keys(&en::TEXTS);
        unique.dedup();
        assert_eq!(unique, keys(&en::TEXTS), "a word stands there twice");
    }

    #[test]
    fn why_a_command_waits_or_was_refused_is_told_in_words_that_help() {
        for texts in [&zh::TEXTS, &en::TEXTS] {
            for (reason, part) in [("no_busy_facts", "[gate]"), ("bad_signature", "[commands] keys")] {
                assert!(texts.reason(reason).contains(part), "{}: {reason}", texts.lang);
            }
            assert_eq!(texts.reason("paper_out of mine"), "paper_out of mine");
            assert_eq!(texts.word("card"), "card", "a device's name is no reason");
        }
    }

    #[test]
    fn every_word_of_a_closed_list_has_a_word_for_people() {
        let mut needed: Vec<&str> = Vec::new();
        needed.extend(TicketState::ALL.iter().map(|w| w.as_str()));
        needed.extend(TicketSource::ALL.iter().map(|w| w.as_str()));
        needed.extend(ClockState::ALL.iter().map(|w| w.as_str()));
        needed.extend(CommandState::ALL.iter().map(|w| w.as_str()));
        needed.extend(PresenceVerdict::ALL.iter().map(|w| w.as_str()));
        needed.extend(Zone::ALL.iter().map(|w| w.as_str()));
        needed.extend(Admission::ALL.iter().map(|w| w.as_str()));
        needed.extend(ServiceState::ALL.iter().map(|w| w.as_str()));
        needed.extend(Severity::ALL.iter().map(|w| w.as_str()));
        needed.extend(FaultClass::ALL.iter().map(|w| w.as_str()));
        needed.extend(WhoCanFix::ALL.iter().map(|w| w.as_str()));
        needed.extend(Action::ALL.iter().map(|w| w.as_str()));
        needed.extend(PeripheralStatus::KNOWN);
        needed.extend(PresenceReason::ALL.iter().map(|w| w.as_str()).filter(|w| *w != "journal"));
        needed.extend(RestatementState::ALL.iter().map(|w| w.as_str()));
        needed.extend(CorrectionState::ALL.iter().map(|w| w.as_str()));
        needed.extend(ExclusionClass::ALL.iter().map(|w| w.as_str()));
        needed.extend(Deed::ALL.iter().map(|w| w.as_str()));
        needed.extend(ClockName::ALL.iter().map(|w| w.as_str()).filter(|w| *w != "other"));
        needed.extend(PortMode::ALL.iter().map(|w| w.as_str()));
        needed.extend(Cause::ALL.iter().map(|w| w.as_str()));
        needed.extend(InputKind::ALL.iter().map(|w| w.as_str()));
        needed.extend(RecordOutcome::ALL.iter().map(|w| w.as_str()));
        needed.extend(MONEY_AND_CARD_KINDS);
        needed.extend(Role::ALL.iter().map(|w| w.as_str()));
        needed.extend(["FULL", "DEGRADED", "ON_ONLY", "OOS", "OFF", "UNKNOWN", "NOT_YET"]);
        let missing: Vec<&str> = needed.into_iter().filter(|word| !zh::TEXTS.knows(word)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn every_word_that_means_something_else_in_its_place_has_one_there() {
        let mut needed: Vec<(&str, &str)> = Vec::new();
        needed.extend(DecisionWord::ALL.iter().map(|w| ("decided", w.as_str())));
        needed.extend(ShareReason::ALL.iter().map(|w| ("why", w.as_str())));
        needed.extend(HoldReason::ALL.iter().map(|w| ("why", w.as_str())));
        needed.extend(SuppressReason::ALL.iter().map(|w| ("why", w.as_str())));
        needed.extend(SIGN_OFFS.iter().map(|w| ("sign_off", *w)));
        needed.extend(CANCEL_GROUNDS.iter().map(|w| ("ground", *w)));
        needed.extend(Kind::ALL.iter().map(|w| ("inspection", w.as_str())));
        needed.extend(InspectionState::ALL.iter().map(|w| ("inspection", w.as_str())));
        needed.extend(ReportState::ALL.iter().map(|w| ("report", w.as_str())));
        needed.extend(BootWay::ALL.iter().map(|w| ("boot", w.as_str())));
        needed.extend(ShutdownReason::ALL.iter().map(|w| ("boot", w.as_str())));
        needed.extend(["up", "shutdown"].map(|w| ("boot", w)));
        needed.extend(UNANSWERED.map(|w| ("reason", w)));
        needed.extend([("why", "needed"), ("resolution", SELF_RECOVERED)]);
        for texts in [&zh::TEXTS, &en::TEXTS] {
            for (place, word) in &needed {
                let key = format!("{place}.{word}");
                assert!(texts.knows(&key), "{}: {key}", texts.lang);
            }
        }
        let english = |(_, text): &&(&str, &str)| text.contains('_');
        assert_eq!(en::TEXTS.words.iter().find(english), None, "a raw word is none for people");
        let chinese = |(key, text): &&(&str, &str)| text.is_ascii() && *key != *text;
        assert_eq!(zh::TEXTS.words.iter().find(chinese), None);
    }
}
