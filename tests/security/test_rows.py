"""Each threat that we know of has tests, by name; whoever renames or drops one is told so here.

Rows that have none yet say why. What each is about stands in the tests.
"""

from __future__ import annotations

import pytest
from rows import missing

ROWS: dict[str, str] = {
    "S01 two want the same name": """
        regress/test_R32_a_collision_reported_as_success.py::test_the_second_claimant_is_told
        net/test_access.py::test_of_those_who_race_for_a_name_one_has_it_and_the_others_know
    """,
    "S02 events and presence of others, names taken away": """
        regress/test_R29_anyone_could_trigger_anything.py::test_a_foreign_event_costs_the_forger_its_link_and_reaches_nobody
        regress/test_R30_presence_could_be_forged.py::test_presence_from_a_client_is_refused
        regress/test_R31_a_name_could_be_taken_away.py::test_only_its_owner_removes_a_sender
        protocol/test_requests.py::test_nobody_answers_what_another_was_asked
    """,
    "S03 its own link that is half dead still holds the name": """
        protocol/test_server.py::test_who_comes_back_before_its_old_link_is_known_to_be_down_finds_its_names_free
        protocol/test_sessions.py::test_a_link_that_is_not_known_to_be_down_ends_first
    """,
    "S04 registering, listening, triggering, asking without a right": """
        protocol/test_rights.py::test_listening_is_refused_only_where_nothing_at_all_could_be_heard
        protocol/test_rights.py::test_what_may_not_be_triggered_is_refused_at_the_trigger_with_the_rule
        protocol/test_rights.py::test_asking_is_allowed_by_method_and_who_may_not_ask_is_not_told_who_is_there
        model/test_access.py::test_what_is_denied_reaches_nobody_and_what_is_allowed_everybody
        model/test_access.py::test_every_planted_bypass_is_found
    """,
    "S05 patterns, and who watches the door": """
        security/test_policy.py::test_listening_is_possible_iff_some_name_may_be_heard
        security/test_policy.py::test_presence_goes_with_all_events_and_the_audit_only_if_it_is_named
        net/test_access.py::test_the_door_is_watched_by_those_alone_whose_rule_names_it
    """,
    "S06 another policy, and what is taken away": """
        net/test_access.py::test_files_are_followed_and_what_is_wrong_changes_nothing
        net/test_access.py::test_what_expires_ends_its_links
        net/test_access.py::test_a_right_that_is_taken_away_ends_streams_and_requests
        protocol/test_requests.py::test_who_may_not_ask_any_more_is_told_so_and_is_told_no_answer
        protocol/test_sessions.py::test_who_is_back_with_fewer_rights_loses_what_came_of_the_others
        protocol/test_access.py::test_who_shows_something_new_on_each_link_comes_back_when_it_expires
    """,
    "S07 files that are empty, cut off or wrong": """
        security/test_policyfile.py::test_an_empty_policy_denies_everything
        security/test_policyfile.py::test_a_policy_that_was_cut_off_anywhere_is_refused
        security/test_policyfile.py::test_what_is_wrong_is_said_with_its_place
        security/test_credentials.py::test_a_file_that_was_cut_off_lets_in_nobody_new_and_nobody_for_longer
        net/test_access.py::test_a_policy_that_is_not_right_starts_no_server
        net/test_access.py::test_a_policy_without_rules_says_that_it_denies_everything
        fuzz/test_fuzz.py::test_a_target_keeps_its_promise
    """,
    "S08 certificates": """
        carriers/test_bad_certificates.py::test_a_bad_client
        carriers/test_bad_certificates.py::test_a_bad_server
        carriers/test_bad_certificates.py::test_the_certificate_of_another_host
        carriers/test_contexts.py::test_insecure_trusts_anybody_and_says_so_each_time
        protocol/test_tls.py::test_a_client_is_who_its_certificate_says
    """,
    "S09 what is compared and kept of tokens": """
        security/test_proof.py::test_what_the_server_keeps_proves_nothing
        security/test_proof.py::test_a_cost_that_is_an_attack_is_refused
        protocol/test_access.py::test_every_login_is_asked_something_new_and_nothing_tells_whether_a_name_exists
        net/test_access.py::test_one_that_hangs_costs_its_own_client_and_no_more_than_four_are_asked_at_once
    """,
    "S10 secrets where they can be seen": """
        security/test_canary.py::test_nothing_that_can_be_seen_shows_a_secret
        security/test_canary.py::test_no_token_and_no_password_crosses_a_link
        unit/test_conftest.py::test_what_is_left_behind_fails_the_test_and_is_named
    """,
    "S11 pages of other origins": """
        protocol/test_websocket.py::test_a_page_of_an_origin_that_is_not_listed_is_refused
        protocol/test_websocket.py::test_a_server_is_asked_for_by_its_own_names_only
        browser/test_page.py::test_a_page_of_another_origin_is_not_let_in
    """,
    "S12 the dashboard": "",  # there is none
    "S13 unix sockets": """
        carriers/test_unix.py::test_only_this_user_may_connect_and_nothing_is_left_behind
        carriers/test_unix.py::test_the_server_knows_whose_process_connects
        carriers/test_unix.py::test_a_socket_on_which_somebody_listens_is_left_alone
    """,
    "S14 serial lines": """
        carriers/test_serial.py::test_a_board_logs_in_as_everybody_does
    """,
    "S15 sessions that are stolen": """
        protocol/test_server.py::test_nobody_closes_the_link_of_another_identity
        protocol/test_sessions.py::test_another_identity_has_no_part_in_it_and_that_is_noted
        protocol/test_sessions.py::test_tokens_are_long_and_another_each_time
        protocol/test_absences.py::test_another_identity_is_not_given_what_waits_for_who_is_away
    """,
    "S16 logins that were overheard": """
        protocol/test_access.py::test_a_proof_that_was_overheard_is_of_no_use
        protocol/test_access.py::test_a_proof_needs_a_nonce_of_the_clients_own
    """,
    "S17 code in data": """
        security/test_source.py::test_nothing_makes_code_of_data
    """,
    "S18 strangers who are silent, or guess": """
        net/test_strangers.py::test_who_is_silent_keeps_nobody_out
        net/test_strangers.py::test_who_guesses_waits_and_keeps_nobody_else_waiting
    """,
}


@pytest.mark.parametrize("row", ROWS)
def test_the_tests_of_a_row_exist(row: str) -> None:
    assert missing(ROWS[row]) == []


def test_no_row_is_left_out() -> None:
    assert [row[:3] for row in ROWS] == [f"S{number:02}" for number in range(1, 19)]


def test_a_test_that_is_not_there_is_missed() -> None:
    here = "security/test_rows.py"
    assert missing(f"{here}::test_a_test_that_is_not_there_is_missed") == []
    gone = [f"{here}::test_that_was_renamed", "security/test_that_has_gone.py::test_x", "rows.py::missing"]
    assert missing(" ".join(gone)) == gone
