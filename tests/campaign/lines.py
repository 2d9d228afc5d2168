"""The lines of the campaign: which test tries a case, and how many cases are run at a time.

A line's tests are told the cases by CARRICK_CASES=from..to and name each that broke by a line "case N: what broke".
"""

from typing import NamedTuple


class Line(NamedTuple):
    """A row: cases are numbered from 0 and never run out, and the same number is the same case for ever."""

    name: str  # of the list of faults; what follows a slash tells several rows of one line apart
    package: str
    target: str  # --test
    tests: tuple[str, ...]  # whole names; each runs all cases of a portion
    portion: int  # cases that are run at a time: half a minute or so, which is what a kill loses
    case: str  # what one is
    limit_s: int = 600  # for a portion; one that takes longer hangs
    first: tuple[str, ...] = ()  # names of tests that have to pass before, once a chunk
    needs: tuple[str, ...] = ()  # "programs": carrickd and carrick; "clients": those of scripts/clients


LINES = [
    Line(
        "F1", "carrick-tests", "simulation", ("chaos::the_promises_hold_whatever_happens",), 1000,
        "a seed: two simulated sites and a line, any faults in any order; eight planted defects have to be caught first",
        first=("planted::",),
    ),
    Line(
        "F2", "carrick-tests", "faults",
        ("killed::nodes_killed_at_random_under_load_end_equal_with_all_that_was_acknowledged_and_no_hand_is_needed",), 40,
        "SIGKILL under load: the source, the destination, both", limit_s=1800, needs=("programs", "clients"),
    ),
    Line(
        "F3", "carrick-log", "log", ("states::whatever_a_power_cut_leaves_what_was_told_stands",), 20_000,
        "one state that a power cut may leave, at one moment of a workload of 300 changes of the disk",
    ),
    Line(
        "F5/log", "carrick-log", "log", ("sites::a_sync_that_fails_anywhere_is_told_and_costs_nothing_that_was",), 4_096,
        "one of a workload's first 64 syncs fails, once or for ever, and a kill or a power cut follows: 256 a workload",
    ),
    Line(
        "F5/sim", "carrick-tests", "simulation",
        ("alone::a_node_whose_sync_fails_anywhere_says_so_and_loses_nothing_that_it_answered_for",), 4_096,
        "the same of a whole node's syncs, from its first boot on",
    ),
    Line(
        "F6/log", "carrick-log", "log", ("flips::a_flipped_bit_is_found_wherever_it_is",), 10_000,
        "one bit of a partition's segments, indexes or checkpoint, of six sites in turn",
    ),
    Line(
        "F6/node", "carrick-tests", "faults",
        ("flipped::a_flipped_bit_in_any_file_of_a_node_is_served_to_nobody_and_named",), 200,
        "one bit of any file of a node's data directory", limit_s=1800, needs=("programs", "clients"),
    ),
    Line(
        "F6/mirror", "carrick-tests", "faults",
        ("flipped::a_flipped_bit_under_a_source_is_mirrored_to_nobody_and_told_there",), 50,
        "one bit of a source's topics, and a mirror over it", limit_s=1800, needs=("programs", "clients"),
    ),
    Line(
        "F7/log", "carrick-log", "log", ("tails::whatever_the_end_of_a_segment_is_the_whole_batches_before_it_stand",), 16_884,
        "of each 67,536 the first 65,536 are cuts of the last 64 KiB of a log, the others garbage behind it",
    ),
    Line(
        "F7/node", "carrick-tests", "faults",
        ("torn::a_node_whose_newest_segment_is_cut_or_ends_in_garbage_serves_what_is_good_and_a_link_over_it_ends_equal_or_loud",), 100,
        "a node's newest segment is cut, or has a strange tail, and a link goes over it", limit_s=1800,
        needs=("programs", "clients"),
    ),
    Line(
        "F9/log", "carrick-log", "log",
        ("sites::a_disk_that_fills_up_anywhere_refuses_and_goes_on_when_there_is_room",
         "sites::a_full_disk_at_a_start_costs_nothing_that_was_told"), 6_144,
        "the disk is full from one of a workload's first 64 calls that need room on, and has room again: 192 a workload",
    ),
    Line(
        "F9/sim", "carrick-tests", "simulation",
        ("alone::a_node_whose_disk_fills_up_anywhere_refuses_and_goes_on_when_there_is_room",), 6_144,
        "the same of a whole simulated node, from its first boot on",
    ),
    Line(
        "F9/node", "carrick-tests", "faults",
        ("full::a_disk_that_is_full_and_has_room_again_loses_nothing_and_everything_goes_on",), 15,
        "a file system is full under load and has room again: the source's, the destination's, both", limit_s=1800,
        needs=("programs", "clients"),
    ),
    Line(
        "F13", "carrick-tests", "faults",
        ("cut::a_line_cut_in_both_directions_ages_what_is_known_and_the_mirror_goes_on_exactly",), 12,
        "the line is cut in both directions under load, and heals", limit_s=1800, needs=("programs", "clients"),
    ),
    Line(
        "F17", "carrick-tests", "faults",
        ("paused::an_old_primary_that_sleeps_through_a_failover_takes_no_write_once_it_can_hear_and_keeps_its_tail",), 8,
        "the old primary is stopped across a failover and wakes with its clients there", limit_s=1800,
        needs=("programs", "clients"),
    ),
    Line(
        "F21", "carrick-tests", "simulation",
        ("halfway::a_failover_that_a_crash_cuts_short_at_any_call_is_completed_or_not_begun",), 12_000,
        "a site dies at one call of a failover, in one of three ways: 120 a seed",
    ),
    Line(
        "F26/kafka", "carrick-wire", "codec", ("hostile::hostile_bodies_stay_within_the_bound",), 500_000,
        "one hostile body or frame of Kafka's protocol, request or answer",
    ),
    Line(
        "F26/records", "carrick-record", "inflate",
        ("hostile::bodies_that_are_broken_in_any_way_are_answered",
         "hostile::batches_that_are_broken_in_any_way_are_refused_or_what_they_say"), 500_000,
        "one hostile body of records, and one hostile batch",
    ),
    Line(
        "F26/link", "carrick-proto", "hostile", ("tests::hostile_envelopes_stay_within_the_bound",), 200_000,
        "one hostile envelope of a link",
    ),
    Line(
        "F28", "carrick-wire", "codec", ("lengths::every_length_is_lied_about",), 500_000,
        "one lie about one length of one message of one version, 20,000 for one body of each, then of others",
    ),
    Line(
        "F30", "carrick-rpc", "storm", ("abusers::abuse_of_every_kind_hurts_nobody_else_and_leaves_nothing_behind",), 2_400,
        "one abuse of HTTP/2, gRPC or a link's messages, of sixty kinds in turn, beside a link that goes on",
    ),
    Line(
        "F31", "carrick-rpc", "storm", ("guests::bad_guests_by_the_thousand_are_counted_and_hurt_nobody_else",), 10_000,
        "one bad handshake, of twenty kinds in turn, beside a link that goes on",
    ),
    Line(
        "F36", "carrick-rpc", "rpc", ("rotation::certificates_and_their_ca_change_under_load_and_nothing_is_lost",), 100,
        "certificates, or their authority, are exchanged under load",
    ),
]
