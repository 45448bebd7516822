"""Every sentence of docs/wire.md and the tests that hold it, claim by claim; what is not built says why."""

from __future__ import annotations

from dataclasses import dataclass, field

MACHINE = "tests/edge_uplink/test_machine.py::test_"
CLIENT = "tests/edge_uplink/test_client.py::test_"
SIZES = "tests/edge_uplink/test_batch_size.py::test_"
PARTS = "tests/edge_uplink/test_parts.py::test_"
EDGE_CHANCE = "tests/edge_uplink/test_schedules.py::test_"
LEDGER = "tests/edge_ledger/test_lanes.py::test_"
COMMIT = "tests/edge_ledger/test_commit.py::test_"
OPEN = "tests/edge_ledger/test_open.py::test_"
CRASH = "tests/edge_ledger/test_crash.py::test_"
DECIDE = "tests/cloud_bridge/test_machine.py::test_"
INGEST = "tests/cloud_bridge/test_ingest.py::test_"
CLOUD_CHANCE = "tests/cloud_bridge/test_schedules.py::test_"
WORKERS = "tests/cloud_bridge/test_workers.py::test_"
ROUTER = "tests/cloud_bridge/test_router.py::test_"
WINDOW = "tests/cloud_bridge/test_window.py::test_"
PEOPLE = "tests/cloud_bridge/test_people.py::test_"
MODELS = "tests/cloud_bridge/test_read_models.py::test_"
LEASES = "tests/cloud_bridge/test_leases.py::test_"
MESSAGES = "tests/contracts/test_messages.py::test_"
EVENTS = "tests/contracts/test_events.py::test_"
SMALL = "tests/contracts/test_small_parts.py::test_"
LINE = "tests/wire/test_line.py::test_"
PITFALLS = "tests/wire/test_pitfalls.py::test_"
ASYNCAPI = "tests/wire/test_asyncapi.py::test_"
PARSER = "tests/wire/test_asyncapi_parser.py::test_"
SAYS = "tests/wire/test_sentences.py::test_"
GATE = "tests/edge_sessions/test_gate.py::test_"
TIME = "tests/edge/test_timekeeping.py::test_"
WORLD = "tests/faultworld/test_world.py::test_"
STORM = "tests/processes/test_storm.py::test_"
ORDERS = "tests/edge_commands/test_contract.py::test_"
DESK = "tests/cloud_bridge/commands/test_desk.py::test_"
VERDICT = "tests/cloud_bridge/commands/test_verdict.py::test_"
ORDER_CHANCE = "tests/edge_commands/test_schedules.py::test_"

NO_TWIN = "no twin yet: a store describes itself by config.changed in the ledger lane, and both sides ignore the topics"


@dataclass(frozen=True)
class Sentence:
    """`proofs` are the tests by what they prove; `unbuilt` is what the sentence says and the code does not do, and why."""

    quote: str
    proofs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unbuilt: dict[str, str] = field(default_factory=dict)


SENTENCES = (
    # ------------------------------------------------------------------ the line
    Sentence(
        "MQTT 5 (3.1.1 works: the codec is then told by the zstd magic).",
        {
            "MQTT 5": (ROUTER + "over_a_broker_a_batch_is_stored_and_acknowledged",),
            "3.1.1": (LINE + "a_store_that_speaks_mqtt_3_1_1_is_served_the_codec_told_by_its_magic",),
        },
    ),
    Sentence(
        "QoS 1; retained where said.",
        {"all of it": (LINE + "everything_goes_with_qos_1_is_json_or_named_zstd_and_only_presence_is_retained",)},
    ),
    Sentence(
        "JSON, `zstd` level 1 above 1 KiB, named in the user property `content-encoding`.",
        {
            "above 1 KiB": (MESSAGES + "what_is_large_is_compressed",),
            "named": (
                "tests/mqtt_link/test_aio.py::test_the_codec_is_named_in_a_user_property",
                LINE + "everything_goes_with_qos_1_is_json_or_named_zstd_and_only_presence_is_retained",
            ),
        },
    ),
    Sentence(
        "Every message type is described in an AsyncAPI 3 document generated from `contracts/`; a test fails when document and code differ.",
        {
            "described": (
                ASYNCAPI + "each_message_of_the_code_is_in_it",
                ASYNCAPI + "each_topic_of_the_code_is_a_channel_and_no_other",
                PARSER + "the_official_parser_finds_no_error",
            ),
            "a test fails": (ASYNCAPI + "the_document_is_what_the_code_says",),
        },
    ),
    Sentence(
        "**Correctness rests only on this contract, never on the broker**: PUBACK, sessions, retained messages and ordering are conveniences (measured: four brokers of five delivered 0 of 300 PUBACKed messages after a SIGKILL; one loses retained messages on restart; shared subscriptions spread one store's batches over workers and do not redeliver a dead worker's).",
        {
            "by chance": (
                EDGE_CHANCE + "no_schedule_breaks_the_ledger",
                CLOUD_CHANCE + "the_database_holds_what_the_reference_says",
            ),
            "the whole, simulated": (WORLD + "every_rule_holds_in_the_first_schedules",),
            "the whole, killed": (STORM + "a_storm_loses_nothing_and_doubles_nothing",),
        },
    ),
    # ------------------------------------------------------------------ topics
    Sentence(
        "ids match `[A-Za-z0-9_-]{1,64}`",
        {"": (MESSAGES + "an_id_may_stand_in_a_topic", MESSAGES + "topics_are_taken_apart_as_they_were_built")},
    ),
    Sentence(
        "`up/presence` | store, and its last will | yes | `{online, boot, conn, instance, agent_version, since}`; re-sent every 30 s",
        {
            "its last will": (
                CLIENT + "presence_says_which_connection_it_is_and_the_last_will_ends_it",
                LINE + "the_client_id_is_the_store_and_its_instance_and_the_will_its_farewell",
            ),
            "every 30 s": (LINE + "presence_is_said_after_each_connect_again_every_30_s_and_retained",),
        },
    ),
    Sentence(
        "`up/hello/{lane}` | store | no | after each connect, after T without progress, and whenever told: `{stream, parent, instance, nonce, next_seq, tail_hash, probe?, t0}`",
        {
            "after each connect": (LINE + "a_hello_of_each_lane_follows_each_connect_and_says_all_the_contract_names",),
            "after T": (MACHINE + "t_without_progress_is_a_new_hello_and_goes_back_to_the_watermark",),
            "whenever told": (MACHINE + "anything_else_leads_to_a_new_hello_never_straight_to_freeing_or_forking",),
            "what it says": (
                MACHINE + "a_connection_begins_with_a_hello_that_says_where_the_chain_ends",
                MACHINE + "a_fork_names_its_parent_in_every_hello",
            ),
        },
    ),
    Sentence(
        "`down/hello/{lane}` | cloud | no | `{nonce, stream, watermark, hash_at_watermark, hash_at_probe?, active, window, t0, t1, t2}`",
        {"": (INGEST + "a_new_stream_starts_at_its_root", INGEST + "hello_tells_the_hash_where_it_is_asked")},
    ),
    Sentence(
        "`up/events/{lane}` | store | no | a batch",
        {"": (CLIENT + "both_lanes_arrive_once_each_in_order_with_their_exact_bytes_and_are_freed",)},
    ),
    Sentence(
        "`down/ack/{lane}` | cloud | no | `{stream, nonce, watermark, hash_at_watermark, window}` or `{stream, nonce, refused: {first_seq, reason}}`",
        {
            "": (
                INGEST + "the_ack_carries_the_watermark_its_hash_and_the_nonce",
                INGEST + "a_refusal_names_the_batch_and_changes_nothing",
            )
        },
    ),
    Sentence(
        "`up/twin` / `down/twin` | store / cloud | yes | reported / desired document with a version",
        unbuilt={"twin": NO_TWIN},
    ),
    Sentence(
        "`down/command/{id}` | cloud | no | a command with an expiry",
        {"": (MESSAGES + "every_message_comes_back", ORDERS + "its_expiry_is_checked_again_right_before_the_effect")},
    ),
    Sentence(
        "`up/request/{method}` → `down/response/{id}` | store | no | a question that wants an answer now (recognise, recommend)",
        {"recognise": (CLIENT + "a_question_is_answered", PEOPLE + "a_member_is_recognised")},
        {"recommend": "the answer to recognise carries the offers; a method of its own would say nothing more"},
    ),
    Sentence(
        "Edge and bridge re-publish what is retained after each connect.",
        {"edge": (LINE + "presence_is_said_after_each_connect_again_every_30_s_and_retained",)},
        {"bridge": "it retains nothing: the desired twin would be the first. " + NO_TWIN},
    ),
    # ------------------------------------------------------------------ lanes, streams, sequence, chain
    Sentence(
        "Two lanes, each its own stream, watermark and chain: **`ledger`** (sales, trials, gates, consent, commands, alarms: never dropped) and **`telemetry`** (counts, temperatures, health: bounded). [events.md](events.md) gives each type its lane.",
        {
            "each its own": (
                COMMIT + "each_event_goes_to_its_own_lane_and_each_lane_counts_alone",
                MESSAGES + "there_are_two_lanes",
            ),
            "never dropped": (LEDGER + "the_ledger_lane_is_never_dropped",),
            "bounded": (LEDGER + "the_oldest_telemetry_goes_first_one_run_one_event_and_a_gap_for_the_cloud",),
            "each type its lane": (
                EVENTS + "each_type_has_its_lane",
                "tests/house/test_docs.py::test_event_pages_are_current",
            ),
        },
    ),
    Sentence(
        "A **stream** is a UUID born with the edge database; its sequence starts at 1 without gaps (AUTOINCREMENT: never reused).",
        {
            "born with the database": (
                OPEN + "pitfall_01_a_new_ledger_has_two_empty_streams_and_keeps_them",
                MESSAGES + "a_new_stream_has_a_name_of_its_own",
            ),
            "never reused": (
                LEDGER + "confirmed_events_are_freed_their_hash_stays_and_sequences_are_never_used_again",
            ),
            "without gaps": (LEDGER + "chain_sequences_and_contents_hold_under_any_mixture",),
        },
    ),
    Sentence(
        "The chain is `hash[n] = SHA-256(hash[n-1] ‖ bytes of event n)`, over **the exact bytes written at append**; batches carry them and the cloud keeps them verbatim (projections are made from them; time corrections and received times live beside them, not in them).",
        {
            "SHA-256": (
                EVENTS + "the_chain_is_sha_256_over_the_exact_bytes",
                COMMIT + "the_chain_covers_the_exact_bytes",
            ),
            "batches carry them": (
                MESSAGES + "events_keep_their_bytes",
                CLIENT + "both_lanes_arrive_once_each_in_order_with_their_exact_bytes_and_are_freed",
            ),
            "verbatim": (INGEST + "the_ack_carries_the_watermark_its_hash_and_the_nonce",),
            "projections": (MODELS + "a_new_projector_sees_the_same",),
            "times beside them": (MODELS + "a_time_is_corrected_beside_the_event_by_what_its_boot_has_told",),
        },
    ),
    Sentence(
        "The chain shows loss, doubling, reordering and later editing of what the cloud has; it does not stop the owner of a box from rewriting what was not yet acknowledged: say so.",
        {
            "shows": (EVENTS + "loss_doubling_order_and_edits_show", DECIDE + "one_changed_byte_is_refused"),
            "say so": (SAYS + "the_guarantees_say_what_the_chain_does_not_do",),
        },
    ),
    Sentence(
        "Event: CloudEvents 1.0 in JSON: `id` = `{stream}:{seq}`, `source` = `/{tenant}/{store}/{device}`, `type` = `cn.zhanggui.{type}.v1`, `time` RFC 3339 UTC, extensions `sequence`, `boot`, `monotonicns`, `clockquality` (`synced` | `estimated` | `unknown`), `privacy` (`none` | `pseudonymous` | `personal`), `traceparent`.",
        {
            "": (
                EVENTS + "an_envelope_is_a_cloud_event",
                COMMIT + "an_event_carries_who_when_and_in_which_order",
                SMALL + "a_time_is_utc_in_milliseconds",
            ),
            "each attribute": (SAYS + "the_envelope_has_the_attributes_that_the_contract_names",),
        },
    ),
    Sentence(
        "An event is ≤ 64 KiB: append refuses more.",
        {"": (EVENTS + "an_event_is_at_most_64_kib", COMMIT + "a_bad_transaction_fails_alone")},
    ),
    Sentence(
        "`personal` never leaves the store.",
        {"": (EVENTS + "personal_data_is_never_written", INGEST + "what_may_be_personal_is_kept_as_a_hash_alone")},
    ),
    Sentence(
        "Batch: `{stream, nonce, first_seq, prev_hash, events[], last_hash}` (`nonce` of the answered hello), strictly consecutive, ≤ 512 events and ≤ 256 KiB before compression.",
        {
            "nonce": (LINE + "a_batch_carries_the_nonce_of_the_hello_that_was_answered",),
            "consecutive": (DECIDE + "the_last_hash_is_checked", LEDGER + "a_slice_is_bounded_by_count_and_bytes"),
            "512": (MACHINE + "at_most_512_events_a_batch", MESSAGES + "a_batch_is_at_most_512_events"),
            "256 KiB": (DECIDE + "more_than_256_kib_is_refused", SIZES + "it_never_leaves_its_bounds"),
        },
    ),
    Sentence(
        "The receiver checks the **declared** size (≤ 320 KiB) before it decompresses, and refuses an undeclared one (the zstandard library's own output limit is not enforced when a frame declares its size).",
        {
            "declared": (
                MESSAGES + "the_declared_size_is_checked_before_anything_is_unpacked",
                MESSAGES + "a_frame_that_lies_about_its_size_is_refused",
            ),
            "undeclared": (MESSAGES + "a_frame_that_hides_its_size_is_refused",),
        },
    ),
    Sentence(
        "**Telemetry only**: a batch may open with `gap: {from, to, reason, count, last_hash}`: the edge dropped them; the bridge records the gap and goes on from `last_hash`; the edge also appends `telemetry.dropped` to the ledger lane, and keeps the hashes of dropped events until the gap is acknowledged.",
        {
            "its words": (MESSAGES + "a_gap_speaks_the_words_of_the_contract",),
            "recorded": (DECIDE + "a_gap_of_telemetry_is_recorded_and_trimmed",),
            "told in the ledger lane, hashes kept": (
                LEDGER + "the_oldest_telemetry_goes_first_one_run_one_event_and_a_gap_for_the_cloud",
                CLIENT + "dropped_telemetry_reaches_the_cloud_as_a_gap_and_an_event",
            ),
        },
    ),
    Sentence(
        "A gap that overlaps the watermark is trimmed to `watermark+1 … to`; overlap inside a recorded gap is skipped.",
        {
            "trimmed": (DECIDE + "a_gap_of_telemetry_is_recorded_and_trimmed",),
            "skipped": (
                DECIDE + "overlap_inside_a_recorded_gap_is_skipped",
                DECIDE + "what_comes_after_a_gap_is_still_compared",
            ),
        },
    ),
    Sentence("A gap in the ledger lane is refused.", {"": (DECIDE + "a_gap_in_the_ledger_is_refused_even_ahead",)}),
    # ------------------------------------------------------------------ ingest
    Sentence(
        "Lock the stream's row; compare `first_seq` with `watermark + 1` and `prev_hash` with the stored hash: equal → verify the chain, store the events, advance; **overlap** → the overlapping events must hash the same (else `refused: diverged`), the rest is stored; **ahead** (within the window) → park the batch in the same database, consumed when the gap closes; beyond the window → ignored.",
        {
            "lock": (
                WORKERS + "three_workers_put_one_stream_together",
                WORKERS + "a_new_stream_met_by_three_workers_at_once_is_one",
            ),
            "equal": (DECIDE + "what_fits_is_stored_from_the_watermark_on",),
            "overlap": (DECIDE + "an_overlap_with_another_history_is_refused",),
            "ahead": (
                INGEST + "parked_batches_are_used_when_the_gap_closes",
                WORKERS + "one_closes_the_gap_for_what_another_has_parked",
                DECIDE + "what_comes_ahead_waits_within_the_window",
            ),
            "what was in flight when the window shrank": (
                WINDOW + "what_was_in_flight_when_the_window_shrank_is_still_parked",
            ),
            "beyond": (DECIDE + "what_comes_ahead_waits_within_the_window",),
            "all of it by chance": (CLOUD_CHANCE + "the_database_holds_what_the_reference_says",),
        },
    ),
    Sentence(
        "Then publish the watermark.",
        {
            "": (
                INGEST + "no_ack_before_the_commit",
                ROUTER + "without_a_commit_there_is_no_answer_and_one_line_in_the_log",
            )
        },
    ),
    Sentence(
        "An event that does not decode, or breaks its schema, is stored as bytes with its reason (dead letter) and *still advances* the watermark, so one bad event never blocks a lane; an unknown type in a valid envelope is stored as it is, if `privacy` allows, and projected later.",
        {
            "dead letter": (
                INGEST + "a_dead_letter_is_kept_and_never_blocks_the_lane",
                ROUTER + "an_event_whose_origin_has_no_measure_is_a_dead_letter",
            ),
            "unknown type": (INGEST + "an_unknown_type_is_kept_as_it_is",),
            "if privacy allows": (INGEST + "what_may_be_personal_is_kept_as_a_hash_alone",),
            "projected later": (MODELS + "a_new_projector_sees_the_same",),
        },
    ),
    Sentence(
        "Only the watermark frees an event on the edge.",
        {"": (MACHINE + "an_ack_with_our_hash_frees_and_sends_on", EDGE_CHANCE + "a_planted_fault_is_noticed")},
    ),
    # ------------------------------------------------------------------ what the edge believes
    Sentence(
        "Until the current hello is answered it sends no batch and uses no ack and no command; a nonce is used once.",
        {
            "no batch": (
                MACHINE + "no_batch_before_the_hello_is_answered",
                CLIENT + "a_broker_without_a_cloud_behind_it_gets_hellos_only",
            ),
            "no ack": (MACHINE + "no_ack_counts_before_the_hello_is_answered",),
            "no command": (ORDERS + "until_the_hello_is_answered_no_command_is_used",),
            "once": (
                MACHINE + "a_nonce_is_used_once_so_a_doubled_answer_changes_nothing",
                MACHINE + "each_hello_has_a_nonce_of_its_own",
            ),
        },
    ),
    Sentence(
        "An ack or refusal counts only if it echoes the current nonce, its watermark is not beyond the edge's tail, and `hash_at_watermark` equals the edge's own hash there; anything else leads to a new hello, never straight to freeing or forking.",
        {
            "the nonce": (MACHINE + "a_stale_ack_or_refusal_is_dropped_and_counted",),
            "the tail, the hash, anything else": (
                MACHINE + "anything_else_leads_to_a_new_hello_never_straight_to_freeing_or_forking",
                EDGE_CHANCE + "a_rare_schedule_notices_its_planted_fault",
            ),
        },
    ),
    Sentence(
        "The edge keeps the greatest watermark so confirmed (acks of several workers arrive out of order).",
        {"": (MACHINE + "acks_out_of_order_keep_the_greatest_watermark",)},
    ),
    Sentence(
        "The uplink keeps up to `window` events in flight.",
        {
            "": (MACHINE + "never_more_in_flight_than_the_window",),
            "a smaller one counts at once": (
                MACHINE + "a_smaller_window_counts_at_once_and_nothing_beyond_it_is_sent_again_before_it_is_confirmed",
                MACHINE + "after_a_smaller_window_going_back_sends_no_more_than_it",
            ),
            "the bridge's load sets it": (
                WINDOW + "a_bridge_that_is_slow_to_commit_tells_stores_to_send_less_and_later_more",
                LINE + "a_bridge_whose_queue_fills_announces_less_in_its_acks_and_stores_everything",
            ),
        },
    ),
    Sentence(
        "After T without progress (full-jitter back-off, ≤ 30 s; reset only after a stable period) it says hello again with a new nonce and goes back to `watermark + 1`.",
        {
            "T, hello, back": (MACHINE + "t_without_progress_is_a_new_hello_and_goes_back_to_the_watermark",),
            "full jitter, at most 30 s": (
                SMALL + "waits_are_jittered_within_bounds",
                MACHINE + "an_unanswered_hello_is_said_again_with_growing_pauses_up_to_30_s",
            ),
            "reset": (
                SMALL + "only_a_stable_period_resets_it",
                MACHINE + "the_pause_grows_on_although_the_cloud_answers_between",
                MACHINE + "a_hello_that_is_answered_but_brings_no_progress_never_resets_the_pause",
            ),
            "the connections too": (
                CLIENT + "a_broker_that_accepts_and_drops_makes_the_pauses_grow",
                LINE + "the_bridge_waits_longer_and_longer_for_a_broker_that_accepts_and_drops_at_once",
                LINE + "the_bridge_begins_with_short_pauses_again_only_after_a_minute_that_held",
            ),
            "a narrow line makes progress within T": (
                SIZES + "a_line_of_20_kbit_s_makes_progress_within_t_and_drains_at_nearly_its_speed",
            ),
        },
    ),
    Sentence(
        "Recovery rests on T alone.",
        {"": (CLIENT + "lost_acks_double_nothing", EDGE_CHANCE + "no_schedule_breaks_the_ledger")},
    ),
    Sentence(
        "Parked batches are verified again when consumed.",
        {"": (CLOUD_CHANCE + "believing_a_batch_because_it_waited_is_caught",)},
    ),
    # ------------------------------------------------------------------ forks
    Sentence(
        "If `hash_at_watermark` differs from the edge's own hash at that sequence, or the cloud is ahead, the edge was restored from an old copy: it finds the last common sequence `c` among what it retains (bisection by `hello` with `probe`; an answer below a common sequence already confirmed restarts it) and **forks** in one transaction: new stream, `parent = {stream, c, hash}`; the events after `c` are re-appended there, each with `origin = {stream, seq, hash}`; projections count an origin once.",
        {
            "the hash differs": (MACHINE + "a_different_hash_leads_to_the_last_common_sequence_and_a_fork_there",),
            "the cloud is ahead": (MACHINE + "the_cloud_ahead_of_our_tail_is_an_old_disk_too",),
            "restarts": (MACHINE + "an_answer_below_the_confirmed_common_sequence_starts_the_search_over",),
            "one transaction": (LEDGER + "a_fork_that_does_not_fit_changes_nothing",),
            "parent and origins": (
                LEDGER + "a_fork_re_appends_what_follows_each_with_its_origin_and_says_so",
                MACHINE + "a_fork_names_its_parent_in_every_hello",
            ),
            "counted once": (
                INGEST + "a_fork_counts_what_it_brings_again_once",
                MODELS + "what_a_fork_brings_again_counts_once",
            ),
        },
    ),
    Sentence(
        "Nothing is overwritten, nothing is silently dropped.",
        {"": (EDGE_CHANCE + "no_schedule_breaks_the_ledger", INGEST + "an_event_of_another_history_counts_too")},
    ),
    Sentence(
        "If the cloud holds less than the edge has already freed, the cloud lost data: the edge forks at `c = freed` with reason `cloud_loss`, the missing range is recorded as lost in the cloud, and both sides raise the alarm.",
        {
            "forks": (MACHINE + "a_cloud_that_holds_less_than_was_freed_is_forked_away_from_at_freed_with_an_alarm",),
            "recorded": (INGEST + "what_the_cloud_lost_is_recorded_and_said_once",),
            "the edge's alarm, with the range": (
                CLIENT + "a_cloud_that_lost_data_is_forked_away_from_and_nothing_we_hold_is_missing",
            ),
            "the cloud's alarm, with the range": (
                MODELS + "what_the_cloud_lost_is_an_alarm_with_its_range_though_the_store_has_not_told_it_yet",
                MODELS + "the_store_and_the_cloud_tell_one_and_the_same_loss",
            ),
        },
    ),
    Sentence(
        "`instance` binds the database to the machine (machine-id, checked at open).",
        {
            "": (
                OPEN + "a_disk_that_moved_to_another_machine_becomes_that_instance",
                OPEN + "the_instance_is_a_hash_of_the_machine_id_and_does_not_show_it",
            )
        },
    ),
    Sentence(
        "Client id = `{store}.{instance}`.",
        {"": (LINE + "the_client_id_is_the_store_and_its_instance_and_the_will_its_farewell",)},
    ),
    Sentence(
        "One active instance a store, by a lease in the cloud; another is told `not_active` and stands by; an operator can move the lease.",
        {
            "one": (INGEST + "the_first_instance_holds_the_lease_until_an_operator_moves_it",),
            "stands by": (
                MACHINE + "a_box_that_is_not_active_stands_by_sends_nothing_and_asks_again",
                CLIENT + "another_active_instance_makes_this_one_stand_by",
            ),
            "an operator": (
                LEASES + "an_operator_moves_the_lease_and_the_other_box_stands_by",
                LEASES + "the_command_moves_it_and_says_who_did",
            ),
        },
    ),
    # ------------------------------------------------------------------ presence
    Sentence(
        "A will or message whose `{boot, conn}` is not the current pair is ignored (brokers differ in whose will they send on a take-over).",
        {
            "": (
                PEOPLE + "what_is_not_of_the_current_pair_is_ignored",
                PEOPLE + "a_reboot_replaces_the_pair_and_the_old_boots_stay_retired",
            )
        },
    ),
    Sentence(
        'The operator\'s page believes `last_seen` (≤ 2 heartbeats), never a retained "online".',
        {
            "two heartbeats": (PEOPLE + "online_lasts_two_heartbeats",),
            "never retained": (PEOPLE + "a_retained_word_is_never_a_sign_of_life",),
        },
    ),
    # ------------------------------------------------------------------ commands
    Sentence(
        "`{id, stream, type, args, issued_by, expires_at, ttl_ms}`.",
        {"": (MESSAGES + "every_message_comes_back", MESSAGES + "what_breaks_a_schema_is_refused")},
    ),
    Sentence(
        "Clean start, session expiry 0: on hello the bridge re-publishes what is unanswered and unexpired.",
        {
            "clean": (LINE + "a_session_is_clean_and_ends_with_its_connection",),
            "on hello": (DESK + "on_hello_what_is_unanswered_and_unexpired_is_said_again",),
        },
    ),
    Sentence(
        "The edge commits the intent before the effect and the outcome after it, in the ledger: a repeated id answers with its first outcome and moves nothing; the table of ids outlives freed events.",
        {
            "before and after": (ORDERS + "the_intent_is_committed_before_the_effect_and_the_outcome_after_it",),
            "repeated": (ORDERS + "a_repeated_id_answers_with_its_first_outcome_and_moves_nothing",),
            "the table": (ORDERS + "the_table_of_ids_outlives_freed_events",),
        },
    ),
    Sentence(
        "**A command that moves hardware takes effect only after the watermark covers its intent** (one round trip: a restored disk can then not repeat it), and its expiry is checked again right before the effect, against the upper bound of the clock's error (`t1 + (t3 − t0)`).",
        {
            "the watermark": (
                ORDERS + "what_moves_hardware_waits_for_the_watermark",
                ORDER_CHANCE + "at_most_once_never_late_and_always_an_end",
            ),
            "checked again": (ORDERS + "its_expiry_is_checked_again_right_before_the_effect",),
            "the upper bound": (ORDERS + "expiry_is_judged_by_the_upper_bound_of_the_clocks_error",),
        },
    ),
    Sentence(
        "A crash in between ends as `outcome: unknown` after asking the device, and is never repeated.",
        {"": (ORDERS + "a_crash_in_between_ends_as_unknown_after_asking_the_device",)},
    ),
    Sentence(
        "Expired, or clock `unknown` for anything that moves hardware: refused, and that is an outcome.",
        {
            "": (
                ORDERS + "expiry_is_judged_by_the_upper_bound_of_the_clocks_error",
                ORDERS + "a_refusal_is_an_outcome_too",
                ORDERS + "what_moves_nothing_needs_no_clock",
            )
        },
    ),
    Sentence(
        "After a fork, commands that name the old stream are refused; a standby instance ignores commands.",
        {
            "a fork": (ORDERS + "after_a_fork_commands_that_name_the_old_stream_are_refused",),
            "standby": (ORDERS + "a_standby_instance_ignores_commands",),
        },
    ),
    Sentence(
        "The cloud's verdict of a command over all streams: done in any → done; else an open intent → unknown; else refused.",
        {
            "": (
                VERDICT + "done_in_any_then_an_open_intent_then_refused",
                VERDICT + "it_always_ends_and_never_calls_undone_what_some_stream_did",
            )
        },
    ),
    Sentence(
        "After a cloud restore, open commands become `unknown` and are never re-published; a later `refused` leaves them so.",
        {
            "a later `refused` leaves them so": (VERDICT + "done_in_any_then_an_open_intent_then_refused",),
            "": (
                DESK + "when_the_cloud_has_lost_events_open_commands_become_unknown_and_are_never_said_again",
                DESK + "an_operator_may_say_that_the_database_was_restored",
            ),
        },
    ),
    Sentence(
        "**No command type can open a tobacco compartment; the cloud may only revoke.**",
        {
            "": (
                "tests/cloud_bridge/commands/test_api.py::test_the_types_are_listed_and_none_of_them_opens",
                SAYS + "no_order_has_a_way_to_a_lock",
            )
        },
    ),
    # ------------------------------------------------------------------ requests, clocks
    Sentence(
        "Read-only; `{id, ttl_ms, …}` measured by the edge's monotonic clock; a late answer is dropped and counted.",
        {
            "read-only": (SAYS + "a_question_writes_nothing",),
            "monotonic": (LINE + "a_ttl_is_measured_by_a_clock_that_no_calendar_moves",),
            "late": (CLIENT + "an_answer_after_its_time_is_dropped_and_counted",),
        },
    ),
    Sentence(
        "A box may boot in 1970.",
        {"": (PITFALLS + "pitfall_16_a_box_that_boots_in_1970_sells_waits_for_its_clock_and_loses_nothing",)},
    ),
    Sentence(
        "Hello exchanges four times (NTP-style; best of the last eight).",
        {
            "": (
                PARTS + "the_offset_of_a_symmetric_way_is_exact",
                PARTS + "the_shortest_of_the_last_eight_counts",
                PARTS + "four_times_that_do_not_fit_are_refused",
            )
        },
    ),
    Sentence(
        "What is written is never changed: the edge appends `clock.estimated {boot, offset_ms, rtt_ms}` and the cloud corrects beside the event.",
        {
            "appended": (CLIENT + "the_clock_is_unknown_then_compared_and_the_finding_is_written_once",),
            "beside": (
                MODELS + "a_time_is_corrected_beside_the_event_by_what_its_boot_has_told",
                MODELS + "an_unknown_clock_is_believed_once_its_boot_has_told_how_far_it_is",
            ),
        },
    ),
    Sentence(
        "Order is by sequence, never by time.",
        {
            "": (
                COMMIT + "pitfall_17_order_is_by_sequence_whatever_the_wall_clock_does",
                MODELS + "a_clock_that_knows_nothing_is_not_believed",
            )
        },
    ),
    Sentence(
        "With an unknown clock the rules that need it (age, licence, hours) deny.",
        {"the rules": (GATE + "each_rule_fails_alone",), "unknown": (TIME + "a_clock_is_known_by_its_quality",)},
    ),
)
