"""Each fault that we know of has tests, by name; whoever renames or drops one is told so here.

What can go wrong with bytes (W), with resources (F), with code of the user's (U) and with the world (E); threats have
a table of their own in `security`. E05 to E08 and E12 are of a store that there is not.
"""

from __future__ import annotations

import pytest
from rows import missing

ROWS: dict[str, str] = {
    "W01 a frame that is too large": """
        protocol/test_frames.py::test_the_limit_is_the_largest_body
        protocol/test_frames.py::test_a_length_is_judged_before_the_body_is_waited_for
        protocol/test_server.py::test_before_login_a_frame_is_small
        net/test_bad_input.py::test_a_stranger_costs_its_own_connection_and_one_line
    """,
    "W02 a frame that is cut off": """
        testing/test_faults.py::test_a_session_that_is_cut_ends_with_an_error_and_leaves_nothing
        testing/test_faults.py::test_a_session_that_is_cut_at_every_third_byte_ends_with_an_error_and_leaves_nothing
        net/test_reliable.py::test_a_session_that_is_cut_goes_on
    """,
    "W03 a bit that is another": """
        testing/test_faults.py::test_frames_that_come_wrong_cost_at_most_their_own_link
        protocol/test_packets.py::test_a_packet_with_any_bit_flipped_is_none
        protocol/test_guard.py::test_what_comes_out_is_what_went_in
    """,
    "W04 any cutting of the stream": """
        protocol/test_frames.py::test_any_cutting_gives_the_same_frames
        testing/test_faults.py::test_any_pieces_make_the_same_session
        net/test_bad_input.py::test_one_byte_at_a_time_is_as_good_as_all_at_once
    """,
    "W05 kinds, flags and versions that nobody knows": """
        protocol/test_frames.py::test_an_optional_kind_is_skipped_whatever_its_flags
        protocol/test_frames.py::test_any_other_unknown_kind_is_an_error_at_its_header
        protocol/test_frames.py::test_only_the_flags_of_a_kind_may_be_set
        protocol/test_frames.py::test_another_major_version_is_told_what_both_sides_speak
    """,
    "W06 control that is deep, huge, or no JSON": """
        unit/test_messages.py::test_nesting_is_allowed_up_to_the_limit
        unit/test_messages.py::test_integers_beyond_64_bits_are_refused_wherever_they_stand
        unit/test_messages.py::test_of_duplicate_keys_the_last_wins
        unit/test_messages.py::test_garbage_raises_nothing_but_a_protocol_error
        net/test_bad_input.py::test_a_stranger_costs_its_own_connection_and_one_line
    """,
    "W07 payloads that grow when they are read": """
        faults/test_bombs.py::test_a_server_does_not_look_into_what_it_passes_on
        protocol/test_bridge.py::test_who_has_the_codec_gets_the_bytes_that_came_and_nobody_looks_at_them
        protocol/test_bridge.py::test_what_is_larger_than_the_limit_is_not_looked_into
    """,
    "W08 keys that fall together": """
        unit/test_messages.py::test_an_integer_of_a_million_digits_is_refused_by_its_length
        unit/test_codecs.py::test_messagepack_refuses_integers_beyond_64_bits_and_says_what_to_do
        regress/test_R33_ids_were_addresses.py::test_ids_are_small_numbers_given_once
    """,
    "W09 compression": """
        protocol/test_websocket.py::test_compression_is_declined
    """,
    "W10 those who speak something else": """
        protocol/test_frames.py::test_another_protocol_is_recognised_within_one_read
        net/test_bad_input.py::test_a_stranger_costs_its_own_connection_and_one_line
        net/test_bad_input.py::test_strangers_at_other_carriers
        net/test_bad_input.py::test_silence_ends_at_the_deadline
    """,
    "W11 a server that is hostile": """
        protocol/test_client.py::test_any_bytes_from_a_server_cost_the_link_at_most
        protocol/test_client.py::test_control_from_a_server_has_a_limit_too
        fuzz/test_fuzz.py::test_a_target_keeps_its_promise
    """,
    "F01 handshakes that never end": """
        net/test_strangers.py::test_who_is_silent_keeps_nobody_out
        protocol/test_server.py::test_a_handshake_has_a_deadline
        protocol/test_server.py::test_of_too_many_handshakes_the_oldest_goes
        protocol/test_entrance.py::test_one_machine_is_not_in_the_way_of_others
    """,
    "F02 more connections than there may be": """
        net/test_bad_input.py::test_too_many_connections_are_told_to_come_back
        protocol/test_server.py::test_where_the_system_has_no_room_whoever_comes_is_told
        protocol/test_server.py::test_more_than_it_takes_in_a_second_are_told_to_come_back
        drivers/test_descriptors.py::test_it_keeps_some_and_turns_away_who_comes_beyond
    """,
    "F03 one who does not read": """
        net/test_slow.py::test_a_subscriber_that_does_not_read_loses_the_oldest_and_is_told_how_many
        net/test_slow.py::test_a_subscriber_that_reads_nothing_for_too_long_is_cut_off
        net/test_overload.py::test_what_a_full_queue_keeps_tells_and_counts
        protocol/test_overload.py::test_delivered_and_missed_are_what_was_accepted
    """,
    "F04 many who do not read": """
        net/test_overload.py::test_two_hundred_that_never_read
        protocol/test_server.py::test_beyond_the_budget_those_lose_events_for_whom_most_waits
        protocol/test_budget.py::test_who_holds_most_gives_its_oldest
    """,
    "F05 one who sends too much": """
        protocol/test_client.py::test_events_wait_for_credit_which_is_given_back_in_bytes
        protocol/test_outgoing.py::test_a_frame_leaves_while_there_is_any_credit_and_none_after_that
        protocol/test_lanes.py::test_an_owner_gets_no_credit_for_what_a_listener_has_not_been_given
        protocol/test_forward.py::test_who_heeds_its_credit_is_never_cut
        protocol/test_forward.py::test_who_sends_without_credit_is_cut_and_what_came_before_is_heard
        protocol/test_server.py::test_all_windows_together_are_half_of_what_there_is
    """,
    "F06 a link that is half open": """
        net/test_heartbeat.py::test_a_client_that_stops
        net/test_heartbeat.py::test_a_server_that_stops
        protocol/test_heartbeat.py::test_who_falls_silent_is_found_in_time_and_nobody_else
        net/test_networks.py::test_a_cable_that_is_pulled_and_plugged_in_again
    """,
    "F07 subscriptions without end": """
        regress/test_R34_subscriptions_without_end.py::test_nothing_before_login_and_a_limit_after
        protocol/test_listening.py::test_selectors_and_numbers_are_checked
    """,
    "F08 requests without end": """
        net/test_handlers.py::test_beyond_256_the_next_is_refused_and_nobody_else
        protocol/test_calls.py::test_beyond_the_limit_nothing_is_opened
        protocol/test_asking.py::test_too_many_requests_are_refused_at_the_caller
    """,
    "F09 asked and given up, again and again": """
        net/test_rapid_cancel.py::test_others_are_answered_and_all_slots_come_back
        aio/test_max_concurrent.py::test_a_slot_is_held_until_the_coroutine_has_really_ended
    """,
    "F10 logs and errors that others write": """
        net/test_bad_input.py::test_many_strangers_are_logged_sparingly
        drivers/test_aio.py::test_mistakes_beyond_ten_a_minute_are_counted_not_told
        unit/test_messages.py::test_what_an_error_says_is_cut
    """,
    "F11 many who are idle": """
        bench/test_reliability.py::test_a_little_of_each
        regress/test_R21_a_thread_for_each_connection.py::test_connections_cost_the_server_no_threads
        protocol/test_server.py::test_nobody_vanishes_who_answers_and_idle_links_cost_one_ping_and_one_pong_each_heartbeat
    """,
    "F12 one who guesses": """
        net/test_strangers.py::test_who_guesses_waits_and_keeps_nobody_else_waiting
        security/test_attempts.py::test_memory_is_bounded_whoever_tries
    """,
    "U01 a listener that raises": """
        unit/test_signal.py::test_a_listener_that_raises_is_reported_and_the_others_run
        regress/test_R24_a_failing_listener_stopped_the_others.py::test_the_others_still_run_and_the_trigger_returns
        unit/test_complaints.py::test_an_on_error_that_raises_is_logged_and_harms_nobody
    """,
    # That it takes long nobody is warned of: that would cost two looks at the clock for each event.
    "U02 a listener that blocks": """
        faults/test_blocking.py::test_while_a_listener_blocks_its_client_asks_answers_and_triggers
        net/test_slow.py::test_a_client_whose_listener_is_stuck_drops_the_oldest_and_says_how_many
        net/test_slow.py::test_a_slow_listener_with_a_queue_of_its_own_holds_up_nobody
        aio/test_program.py::test_a_listener_that_blocks_sees_the_same_in_an_executor
    """,
    "U03 a listener that uses the router it is called by": """
        model/test_inprocess.py::test_programs_of_chance_have_the_same_log
        regress/test_R11_a_listener_that_requests.py::test_a_listener_may_request
        regress/test_R53_disconnect_inside_a_listener.py::test_a_listener_may_disconnect
        net/test_life.py::test_close_works_from_inside_a_callback
    """,
    "U04 a listener that closes itself or another": """
        regress/test_R22_unsubscribing_skipped_the_next.py::test_nobody_is_skipped
        unit/test_signal.py::test_who_is_closed_during_the_round_is_not_called_and_nobody_is_skipped
        model/test_threads.py::test_who_is_closed_by_another_thread_is_taken_out_of_the_round_under_way
    """,
    "U05 a listener that comes during an event": """
        regress/test_R23_subscribing_saw_the_same_event.py::test_a_new_listener_hears_the_next_event_only
        unit/test_signal.py::test_who_registers_during_the_round_hears_the_next_one
    """,
    "U06 requests in circles": """
        net/test_requests.py::test_a_request_in_circles_is_found
        unit/test_requests.py::test_a_circle_is_broken_after_sixteen_hops
        net/test_request_truth.py::test_the_time_shrinks_from_hop_to_hop
    """,
    "U07 cancelled wherever it waits": """
        aio/test_cancel.py::test_a_verb_that_is_cancelled_leaves_nothing
        aio/test_cancel.py::test_connecting_that_is_cancelled_leaves_nothing
        aio/test_cancel.py::test_closing_that_is_cancelled_closes_all_the_same
        model/test_requests.py::test_every_promise_is_kept_in_any_weather
    """,
    "U08 interrupts in a listener": """
        net/test_life.py::test_an_interrupt_in_a_listener_is_meant_for_the_program
        unit/test_signal.py::test_what_is_meant_for_the_program_reaches_it
        drivers/test_threads.py::test_the_main_thread_is_interrupted_wherever_it_waits
    """,
    "U09 a fork": """
        drivers/test_fork.py::test_every_verb_of_the_child_says_closed
        drivers/test_fork.py::test_the_child_holds_no_socket_of_the_parent
        drivers/test_fork.py::test_it_may_happen_while_another_thread_holds_every_lock
    """,
    "U10 many threads": """
        model/test_threads.py::test_nobody_misses_or_doubles_an_event_while_others_come_and_go
        regress/test_R20_tables_without_a_lock.py::test_threads_that_come_and_go_do_not_disturb_each_other
        drivers/test_threads.py::test_events_from_many_threads_all_arrive_and_each_ones_stay_in_order
    """,
    "U11 a program that ends without closing": """
        net/test_life.py::test_the_interpreter_ends_with_live_routers
        aio/test_threads.py::test_the_interpreter_ends_with_live_routers
        net/test_life.py::test_a_script_that_forgets_to_close_loses_nothing_either
    """,
    # Of a router that is forgotten nobody is warned: its threads hold it, and it goes on.
    "U12 handles that nobody holds": """
        faults/test_forgotten.py::test_a_listener_that_nobody_holds_hears_on
        faults/test_forgotten.py::test_a_sender_that_nobody_holds_stays_and_answers_until_its_block_or_its_router_ends
        faults/test_forgotten.py::test_what_was_forgotten_leaves_with_its_client
        unit/test_subscription.py::test_a_weak_method_goes_with_its_object
        unit/test_conftest.py::test_what_is_left_behind_fails_the_test_and_is_named
    """,
    "E01 processes that are killed": """
        bench/test_reliability.py::test_a_little_of_each
        net/test_reconnect.py::test_a_server_that_is_killed_and_started_again_finds_its_clients_back
        sim/test_sim.py::test_what_is_promised_is_kept
    """,
    "E02 networks in two parts": """
        net/test_networks.py::test_a_cable_that_is_pulled_and_plugged_in_again
        net/test_networks.py::test_a_way_that_is_broken_in_one_direction
        protocol/test_interest.py::test_who_was_told_too_early_that_it_listens_is_told_that_it_missed_something
        sim/test_sim.py::test_what_is_promised_is_kept
    """,
    "E03 networks that lose packets": """
        net/test_networks.py::test_one_packet_in_five_is_lost
    """,
    "E04 clocks that jump, and machines that sleep": """
        net/test_clock_jumps.py::test_deadlines_heartbeats_and_order_go_on
        net/test_clock_jumps.py::test_nobody_else_asks_the_wall_clock
        protocol/test_server.py::test_a_server_that_was_stopped_for_an_hour_first_reads_what_has_come_meanwhile
        protocol/test_client.py::test_a_client_that_was_stopped_for_an_hour_first_reads_what_has_come_meanwhile
    """,
    "E09 told to end": """
        net/test_restarts.py::test_nothing_is_lost_untold_over_many_restarts
        net/test_drain.py::test_what_is_under_way_is_answered_and_nothing_new_is_taken
        cli/test_service.py::test_what_is_under_way_when_it_is_told_to_end_is_answered
        cli/test_service.py::test_told_twice_it_ends_at_once
    """,
    "E10 a manager of services": """
        cli/test_service.py::test_systemd_is_told_when_it_serves_and_when_it_ends
        cli/test_service.py::test_addresses_come_and_go_when_the_file_is_read_anew
        cli/test_service.py::test_a_manager_that_has_gone_is_one_line_of_log
    """,
    "E11 no memory left": """
        faults/test_memory.py::test_who_wants_more_than_there_is_loses_its_link_and_others_keep_theirs
    """,
    # There is no last release yet: what a later one may say is let pass.
    "E13 peers of another version": """
        protocol/test_frames.py::test_a_later_minor_version_is_understood_and_what_is_reserved_ignored
        protocol/test_frames.py::test_another_major_version_is_told_what_both_sides_speak
        protocol/test_peer.py::test_what_later_versions_use_is_let_pass
        unit/test_messages.py::test_unknown_attributes_are_ignored
    """,
}
OF_A_STORE = ("E05", "E06", "E07", "E08", "E12")


@pytest.mark.parametrize("row", ROWS)
def test_the_tests_of_a_row_exist(row: str) -> None:
    assert ROWS[row].split(), "a fault without a test"
    assert missing(ROWS[row]) == []


def test_no_row_is_left_out() -> None:
    counts = {"W": 11, "F": 12, "U": 12, "E": 13}
    wanted = [f"{kind}{number:02}" for kind, most in counts.items() for number in range(1, most + 1)]
    assert [row[:3] for row in ROWS] == [row for row in wanted if row not in OF_A_STORE]
