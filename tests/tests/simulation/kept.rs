//! Seeds that broke a promise once, by what was wrong then. Each fails without its mend, as long as the story draws as it
//! did; after that they are seeds as any.

use crate::chaos::{Amiss, story};

fn hold(seeds: &[u64]) {
    for seed in seeds {
        story(*seed, &Amiss::default());
    }
}

#[test]
fn a_segment_that_was_written_again_after_a_failed_sync_survives_a_power_cut_by_its_name() {
    hold(&[31, 790, 806, 1412]);
}

#[test]
fn a_session_that_is_lost_while_a_failover_is_decided_does_not_undo_it() {
    hold(&[54, 73, 102, 2625]);
}

#[test]
fn a_mirror_begins_with_the_batch_that_holds_its_sources_start() {
    hold(&[47, 58, 79]);
}

#[test]
fn a_group_that_went_back_is_in_the_journal_whenever_the_site_crashed() {
    hold(&[171, 424, 847]);
}

#[test]
fn lag_is_unknown_where_the_source_does_not_speak_of_it() {
    hold(&[25, 170, 189, 1810]);
}

#[test]
fn a_side_that_was_paused_hears_of_the_failover_soon() {
    hold(&[1177, 2752]);
}

#[test]
fn an_empty_mirror_knows_where_it_begins_after_a_crash() {
    hold(&[2452]);
}

#[test]
fn a_segment_that_was_begun_a_moment_before_a_crash_survives_a_power_cut_by_its_name() {
    hold(&[18_246]);
}

#[test]
fn a_clean_end_waits_for_the_names_of_what_was_written_again() {
    hold(&[36_884]);
}

#[test]
fn a_start_after_a_failed_sync_on_a_full_disk_needs_no_other() {
    hold(&[5_867]);
}

#[test]
fn a_sync_that_fails_after_its_waiter_gave_up_halts_the_node_all_the_same() {
    hold(&[46_057, 48_010]);
}
