"""The model of a disk: what a power cut may leave of files and names, and what it may never."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.faultworld.disk import Medium, Surface

B = 8  # bytes of a sector here: small numbers, same rules


def all_held(medium: Medium, cuts: int = 400) -> set[bytes]:
    """What many cuts leave, without stale blocks and torn sectors (those have tests of their own)."""
    return {medium.copy().held(Random(seed), "random") for seed in range(cuts)}


def test_what_was_synced_stands_and_what_was_not_is_old_or_new_sector_by_sector():
    medium = Medium(b"a" * 2 * B, B)
    medium.write(0, b"b" * 2 * B)
    medium.sync()
    medium.write(0, b"c" * 2 * B)
    whole = {bytes(x) for x in (b"b" * 16, b"c" * 16, b"b" * 8 + b"c" * 8, b"c" * 8 + b"b" * 8)}
    found = all_held(medium)
    assert whole <= found
    for content in found - whole:  # a torn sector: its new bytes, then its old ones
        halves = [content[:B], content[B:]]
        assert all(half.lstrip(b"c").lstrip(b"b") == b"" for half in halves)
        assert sum(half not in (b"b" * B, b"c" * B) for half in halves) == 1
    assert (medium.held(Random(0), "lose"), medium.held(Random(0), "keep")) == (b"b" * 16, b"c" * 16)


def test_bytes_beside_a_write_never_change():
    """Powersafe overwrite: the rest of a sector that is being written stays as it is."""
    medium = Medium(b"a" * B, B)
    medium.write(3, b"XY")
    assert all_held(medium) == {b"aaaaaaaa", b"aaaXYaaa", b"aaaXaaaa"}


def test_a_disk_that_is_not_powersafe_spoils_a_whole_sector_that_was_written_and_no_other():
    medium = Medium(b"a" * 3 * B, B)
    medium.write(B + 3, b"XY")
    found = {medium.held(Random(seed), "random", powersafe=False) for seed in range(100)}
    assert {content[:B] + content[2 * B :] for content in found} == {b"a" * 2 * B}
    assert any(content[B : B + 3] != b"aaa" for content in found)


def test_several_versions_since_the_sync_are_all_possible_and_none_before_it():
    medium = Medium(b"0" * B, B)
    for version in (b"1", b"2", b"3"):
        medium.write(0, version * B)
        if version == b"1":
            medium.sync()
    assert {content for content in all_held(medium) if len(set(content)) == 1} == {b"1" * B, b"2" * B, b"3" * B}


def test_a_file_that_grew_may_have_any_size_it_had_with_zeros_or_stale_blocks_where_data_is_missing():
    medium = Medium(b"", B)
    medium.write(0, b"a" * B)
    medium.write(B, b"b" * B)
    found = all_held(medium)
    assert {len(content) for content in found} == {0, B, 2 * B}
    assert {b"", b"a" * B, b"a" * B + b"b" * B, bytes(B) + b"b" * B} <= found
    assert any(content and set(content[:B]) - set(b"a\0") for content in found)  # stale


def test_a_truncation_brings_no_old_bytes_back_once_it_is_down():
    medium = Medium(b"old-old-" * 2, B)
    medium.truncate(0)
    medium.write(0, b"new-new-")
    found = all_held(medium)
    assert b"old-old-" * 2 in found  # the truncation was lost
    assert {b"", b"new-new-"} <= found  # it was not
    assert not any(content.startswith(b"new-new-") and len(content) > B for content in found)
    assert all(b"old" not in content for content in found if len(content) <= B)


def test_a_failed_sync_leaves_it_open_and_a_later_good_one_does_not_settle_what_was_not_written_again():
    medium = Medium(b"a" * 2 * B, B)
    medium.write(0, b"b" * 2 * B)
    medium.give_up()
    medium.write(0, b"c" * B)
    medium.sync()
    found = all_held(medium)
    assert {content[:B] for content in found} == {b"c" * B}
    assert {b"a" * B, b"b" * B} <= {content[B:] for content in found}
    medium.write(B, b"d" * B)
    medium.sync()
    assert all_held(medium) == {b"c" * B + b"d" * B}


def test_names_go_back_in_their_order_until_the_folder_is_synced():
    surface, files = Surface(), [Medium(name, B) for name in (b"one", b"two")]
    surface.found("a", files[0])
    surface.changed("b", files[1])
    surface.changed("c", files[0], renamed_from="a")
    surface.changed("b", None)
    states = [{"a": b"one"}, {"a": b"one", "b": b"two"}, {"b": b"two", "c": b"one"}, {"c": b"one"}]
    found = [surface.held(Random(seed)) for seed in range(60)]
    assert all(state in found for state in states)
    assert all(one in states for one in found)
    assert (surface.held(Random(0), "lose"), surface.held(Random(0), "keep")) == (states[0], states[-1])
    surface.sync_names()
    assert [surface.held(Random(seed)) for seed in range(10)] == [states[-1]] * 10


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 30), st.binary(min_size=1, max_size=20)),
        st.tuples(st.just("truncate"), st.integers(0, 40), st.just(b"")),
        st.tuples(st.just("sync"), st.just(0), st.just(b"")),
    ),
    max_size=12,
)


@given(steps=STEPS, seed=st.integers(0, 10**6))
@settings(max_examples=200, deadline=None)
def test_keep_is_a_plain_file_and_lose_the_same_file_at_its_last_sync(steps, seed: int):
    medium, plain, synced = Medium(b"start", B), bytearray(b"start"), b"start"
    for what, place, data in steps:
        if what == "write":
            medium.write(place, data)
            plain.extend(bytes(max(0, place + len(data) - len(plain))))
            plain[place : place + len(data)] = data
        elif what == "truncate":
            medium.truncate(place)
            del plain[place:]
            plain.extend(bytes(place - len(plain)))
        else:
            medium.sync()
            synced = bytes(plain)
    kept = medium.copy()
    assert medium.size_bytes == len(plain)
    assert medium.held(Random(seed), "keep") == plain
    assert medium.held(Random(seed), "lose") == synced
    assert medium.held(Random(seed), "random") == kept.held(Random(seed), "random")  # by the seed alone
    medium.write(0, b"later")
    assert kept.held(Random(seed), "keep") == plain  # a copy stays


@given(steps=STEPS, gives_up=st.sets(st.integers(0, 12)), seed=st.integers(0, 10**6))
@settings(max_examples=200, deadline=None)
def test_what_may_be_held_does_not_depend_on_who_asked_before(steps, gives_up: set[int], seed: int):
    """Writes are sorted into sectors only when somebody asks: that must not show."""
    quiet, asked = Medium(b"start", B), Medium(b"start", B)
    for number, (what, place, data) in enumerate(steps):
        for medium in (quiet, asked):
            if what == "write":
                medium.write(place, data)
            elif what == "truncate":
                medium.truncate(place)
            elif number in gives_up:
                medium.give_up()
            else:
                medium.sync()
        asked.held(Random(number), "random")
    for cut in range(seed, seed + 8):
        copy = quiet.copy()
        assert copy.held(Random(cut), "random") == asked.held(Random(cut), "random")
    assert quiet.held(Random(seed), "lose") == asked.held(Random(seed), "lose")


@pytest.mark.parametrize("sector_bytes", [512, 4096])
def test_a_sector_never_mixes_two_writes_but_where_one_was_torn(sector_bytes: int):
    medium = Medium(b"a" * 4 * sector_bytes, sector_bytes)
    medium.write(0, b"b" * 4 * sector_bytes)
    for seed in range(50):
        content = medium.held(Random(seed), "random")
        sectors = [content[n : n + sector_bytes] for n in range(0, len(content), sector_bytes)]
        assert sum(len(list(itertools.groupby(sector))) > 1 for sector in sectors) <= 1
