"""The cloud's word on a command, a row a case; and that no order of the words matters."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_bridge.commands.verdict import GRACE_MS, Word, verdict

EXPIRES = 1_000_000
NOW, LATER = EXPIRES - 1, EXPIRES + GRACE_MS + 1


def word(said: str) -> Word:
    """`a:done` is said in stream a; equal texts stand at different sequences."""
    stream, _, what = said.partition(":")
    return Word(stream, len(what), what)  # type: ignore[arg-type]  # only words of the vocabulary are used here


@pytest.mark.parametrize(
    ("said", "now_ms", "lost", "state"),
    [
        ([], NOW, False, "issued"),
        ([], LATER, False, "expired"),
        ([], NOW, True, "unknown"),  # after a cloud restore, open commands become unknown
        ([], LATER, True, "unknown"),
        (["a:accepted"], NOW, False, "accepted"),
        (["a:accepted"], EXPIRES + 1, False, "accepted"),  # the effect may be running, its word on the way
        (["a:accepted"], LATER, False, "unknown"),  # an open intent
        (["a:accepted"], NOW, True, "unknown"),
        (["a:accepted", "a:done"], NOW, False, "done"),
        (["a:accepted", "a:done"], NOW, True, "done"),  # what the store says is true, whatever the cloud forgot
        (["a:accepted", "a:failed"], LATER, False, "failed"),
        (["a:accepted", "a:unknown"], NOW, False, "unknown"),
        (["a:refused"], NOW, False, "refused"),
        (["a:accepted", "a:refused"], LATER, False, "refused"),  # expired or busy right before the effect
        (["a:refused", "b:refused"], LATER, False, "refused"),
        # a restored disk: the old stream has the intent, the new one refuses the order; it may have been done
        (["a:accepted", "b:refused"], LATER, False, "unknown"),
        (["a:accepted", "b:refused"], NOW, False, "accepted"),
        (["a:accepted", "a:failed", "b:refused"], LATER, False, "failed"),
        (["a:accepted", "b:failed"], LATER, False, "unknown"),
        # the cloud was restored: an old disk refuses what was done before, and knows nothing of it
        (["a:refused"], NOW, True, "unknown"),
        (["a:refused", "b:refused"], LATER, True, "unknown"),
        (["a:failed", "b:refused"], LATER, True, "failed"),  # who tried it knows
        # done in any stream is done
        (["a:accepted", "a:done", "b:refused"], LATER, False, "done"),
        (["a:accepted", "b:unknown", "c:done"], LATER, False, "done"),
        (["a:accepted", "b:accepted", "b:unknown"], LATER, False, "unknown"),
    ],
)
def test_done_in_any_then_an_open_intent_then_refused(said, now_ms, lost, state):
    """Done in any → done; else an open intent → unknown; else refused; in whatever order the words came."""
    words = [word(text) for text in said]
    for order in itertools.permutations(words):
        assert verdict(order, expires_ms=EXPIRES, now_ms=now_ms, lost=lost).state == state


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["accepted", "done", "failed", "refused", "unknown"])),
        max_size=6,
    ),
    st.booleans(),
)
def test_it_always_ends_and_never_calls_undone_what_some_stream_did(said, lost):
    """When the time is over nothing is open any more, and more words never take `done` away."""
    words = [Word(stream, n, what) for n, (stream, what) in enumerate(said)]  # type: ignore[arg-type]  # as above
    found = verdict(words, expires_ms=EXPIRES, now_ms=LATER, lost=lost)
    assert found.final
    assert (found.state == "done") is any(w.said == "done" for w in words)
    assert found.word is None or found.word in words
