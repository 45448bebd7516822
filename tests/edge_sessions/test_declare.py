"""Tobacco is named after the proof of age, inside the session, and before any release."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.sessions.core.inputs import Declare, Give, Prove, Request
from tests.edge_sessions.bench import Bench
from tests.edge_sessions.build import line, release

PROOF = Prove("s1", "id_card", passed=True, person_day_key="p")


def asked(*, proven: bool = True, mode: str = "staff_release") -> Bench:
    bench = Bench(mode)
    bench.do(Request("s1", mode, "k1", "m1"))  # type: ignore[arg-type]  # one of three
    if proven and bench.at == "asked":
        bench.do(PROOF)
    return bench


DECLARATIONS = [
    # proven?, the word, what the agent says
    pytest.param(True, Declare("s1", (line(qty=2),)), "", id="what the cabinet holds, within the cap"),
    pytest.param(False, Declare("s1", (line(),)), "age_needed", id="before the proof nothing is named"),
    pytest.param(True, Declare("s2", (line(),)), "no_session", id="another session"),
    pytest.param(True, Declare("s1", ()), "bad_basket", id="nothing"),
    pytest.param(True, Declare("s1", (line("beer"),)), "bad_basket", id="what is not there"),
    pytest.param(True, Declare("s1", (line(qty=0),)), "bad_basket", id="none of it"),
    pytest.param(True, Declare("s1", (line(qty=7),)), "bad_basket", id="more than one settlement explains"),
    pytest.param(True, Declare("s1", (line(qty=4),)), "over_cap", id="over the cap of a transaction (T06)"),
]


@pytest.mark.parametrize(("proven", "given", "answer"), DECLARATIONS)
def test_a_declaration(proven: bool, given: Declare, answer: str):
    bench = asked(proven=proven)
    assert bench.do(given).answer == answer
    assert bench.at == "asked"
    assert ("cabinet.session.declared" in bench.said) is (not answer)
    assert bench.session.declared == ((replace_price(given),) if not answer else ())


def replace_price(given: Declare):
    """The cabinet's own price counts, never the page's."""
    import msgspec

    return msgspec.structs.replace(given.lines[0], price_fen=500)


def test_a_session_without_a_declaration_waits_and_cannot_be_released():
    bench = asked()
    bench.look(dt=1.0)
    assert bench.at == "asked"  # no quantity, no lapse of T06
    assert bench.do(Give(replace(release(), at_s=bench.now))).answer == "nothing_declared"
    bench.do(Declare("s1", (line(),)))
    assert bench.do(Give(replace(release(), at_s=bench.now))).answer == ""
    assert bench.at == "paying"


def test_another_word_replaces_the_first_until_the_release():
    bench = asked()
    bench.do(Declare("s1", (line(qty=1),)))
    bench.do(Declare("s1", (line("juice", 2),)))
    assert [(x.sku, x.qty) for x in bench.session.declared] == [("juice", 2)]
    bench.do(Give(replace(release(), at_s=bench.now)))
    assert bench.do(Declare("s1", (line(),))).answer == "no_session"
    assert [(x.sku, x.qty) for x in bench.session.declared] == [("juice", 2)]


def test_a_snack_is_never_declared():
    bench = asked(mode="self_service")
    assert bench.do(Declare("s1", (line(),))).answer in ("bad_basket", "no_session")
