//! What the store promises, on both databases with the same words.
//!
//! Each promise is one function that gets an empty database; the table below runs it twice.
mod cases;
pub(crate) mod decided;
mod durable;
mod hostile;
mod membership;
pub(crate) mod months;
mod parts;
mod proxy;
mod reading;
mod retention;
pub(crate) mod rows;
mod seals;
mod states;
mod upgrade;
pub(crate) mod writing;

use std::sync::Arc;

use kioskwatch_server::store::Store;
use kioskwatch_tests::harness::postgres::Postgres;

/// An empty database, gone with the test.
pub(crate) struct Empty {
    pub(crate) url: String,
    _directory: Option<Directory>,
    _cluster: Option<Arc<Postgres>>,
}

struct Directory(std::path::PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Empty {
    pub(crate) fn sqlite() -> Self {
        // A blank and a percent sign: a path is a path, not a URL.
        let name = format!("kw store 100% {}", uuid::Uuid::new_v4().simple());
        let directory = std::env::temp_dir().join(name);
        let url = format!("sqlite://{}/db.sqlite", directory.display());
        Self { url, _directory: Some(Directory(directory)), _cluster: None }
    }

    pub(crate) async fn postgres() -> Self {
        let cluster = Postgres::shared();
        Self { url: cluster.fresh_database().await, _directory: None, _cluster: Some(cluster) }
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.url).await.unwrap()
    }
}

macro_rules! promises {
    ($($file:ident: $($promise:ident),+;)+) => {
        mod sqlite {
            $($(#[tokio::test]
            async fn $promise() {
                super::$file::$promise(super::Empty::sqlite()).await;
            })+)+
        }
        mod postgres {
            $($(#[tokio::test]
            async fn $promise() {
                super::$file::$promise(super::Empty::postgres().await).await;
            })+)+
        }
    };
}

promises! {
    writing:
        an_image_is_what_was_committed,
        a_row_again_replaces_the_first,
        every_word_of_every_enum_is_accepted,
        the_same_key_twice_in_a_batch_is_one_row,
        one_incident_is_open_per_fingerprint,
        a_problem_may_close_and_open_again_in_one_batch,
        the_same_record_again_changes_nothing,
        other_bytes_under_an_applied_number_are_a_fork,
        a_refused_batch_leaves_nothing,
        evidence_only_grows,
        what_was_thought_to_be_new_and_is_stored_is_neither_lost_nor_stored_twice,
        history_is_not_rewritten,
        five_thousand_rows_of_a_kind_go_in_one_commit,
        what_happened_in_one_millisecond_keeps_its_order,
        the_audit_is_one_chain,
        the_audit_notices_what_was_done_behind_its_back;
    states:
        being_seen_updates_that_and_nothing_else,
        a_stretch_of_heartbeats_is_evidence_while_it_runs_and_after_it_was_replaced,
        a_verdict_updates_that_and_nothing_else,
        neighbours_are_forgotten_from_their_verdicts_on_and_each_has_a_transition,
        a_state_without_inventory_keeps_the_stored_one;
    reading:
        pages_follow_each_other_without_gap_or_repeat,
        a_foreign_cursor_is_refused,
        what_is_out_of_scope_is_not_there,
        tickets_are_narrowed_by_state_kiosk_site_and_openness,
        kiosks_are_narrowed_by_site_and_presence,
        kiosks_are_found_by_their_models,
        a_ticket_comes_with_all_that_hangs_on_it,
        overlapping_spans_are_found_and_touching_ones_are_not,
        a_gap_of_evidence_grows_and_closes,
        closed_history_stays_out_of_the_image,
        journals_are_read_by_epoch,
        tokens_are_found_by_hash_until_revoked;
    months:
        running_months_are_replaced_and_signed_ones_are_not,
        the_database_itself_keeps_signed_months,
        a_month_in_which_a_site_changed_hands_has_a_row_for_each_of_them,
        a_month_in_which_the_model_changed_has_a_row_for_each_of_them,
        a_group_is_the_sum_of_its_official_figures,
        what_was_signed_by_an_instant_is_the_version_that_stood_then,
        the_worst_are_those_that_lost_most_of_the_ratio_that_is_asked_for,
        whoever_is_signed_during_a_look_is_among_the_signed_or_the_rest,
        the_parts_of_a_group_are_its_official_figures_worst_first,
        what_was_taken_from_an_owner_counts_no_kiosk,
        months_that_nobody_signed_are_found_however_old_they_are;
    decided:
        one_restatement_waits_and_a_decision_stands,
        restatements_are_found_by_site_and_by_what_alone_changed,
        corrections_are_decided_once_and_by_somebody_else,
        what_two_people_say_of_whose_a_site_was_is_known_once_it_is_approved,
        what_two_people_say_of_where_a_kiosk_stood_is_an_assignment_once_it_is_approved,
        what_two_people_say_last_stands_last_whatever_the_clock_said_when_they_did,
        what_waits_about_a_kiosks_past_is_seen_where_it_stood_then;
    seals:
        what_was_signed_is_held_against_what_the_audit_says_was_signed;
    cases:
        cases_of_the_definition_come_to_the_same_from_rows;
    membership:
        those_who_belonged_to_a_group_are_found_by_their_assignments,
        forgiven_time_is_found_for_those_it_is_about,
        when_kiosks_count_is_kept_with_what_was_known_before,
        hours_of_sites_are_kept_with_what_was_known_before,
        calendars_are_kept_with_what_was_known_before,
        who_was_away_counts_before_and_after_and_not_between,
        kiosks_in_service_are_counted_by_their_dates_and_wall_clock,
        what_was_signed_of_a_month_is_found_by_kiosk;
    retention:
        what_is_old_goes_a_few_rows_at_a_time_and_nothing_younger,
        what_is_not_over_or_came_late_stays,
        of_a_journal_its_beginning_goes_and_what_is_gone_is_told_from_what_never_came,
        what_the_fleet_shares_goes_by_its_end,
        a_ticket_goes_with_all_that_hangs_on_it_and_nothing_dangles,
        nothing_is_removed_once_somebody_else_holds_the_lease;
    durable:
        a_restart_finds_the_same_image,
        a_second_migration_changes_nothing,
        a_newer_schema_is_refused,
        a_tool_works_beside_a_server,
        only_a_server_makes_a_database,
        a_lost_lease_stops_every_commit,
        a_lease_is_not_taken_before_its_time,
        commits_of_several_tasks_all_arrive;
    upgrade:
        rows_of_an_older_server_are_all_there,
        outages_that_were_signed_without_causes_are_not_told_by_cause,
        what_a_site_is_to_the_contract_at_an_upgrade_is_what_it_always_was,
        the_model_at_an_upgrade_is_what_a_kiosk_always_was_and_approvals_keep_their_order;
    hostile:
        no_text_is_dangerous,
        numbers_beyond_a_column_are_refused_before_the_database,
        a_senseless_row_names_itself,
        an_image_of_a_large_record_survives;
}

/// The database as somebody sees it who does not go through the store.
pub(crate) fn raw_url(empty: &Empty) -> String {
    empty.url.replace('%', "%25").replace(' ', "%20")
}

pub(crate) fn drop_guards(empty: &Empty) -> &'static [&'static str] {
    if empty.url.starts_with("sqlite") {
        &["DROP TRIGGER audit_keeps_entries", "DROP TRIGGER audit_loses_nothing"]
    } else {
        &["DROP TRIGGER audit_keeps_entries ON audit"]
    }
}
