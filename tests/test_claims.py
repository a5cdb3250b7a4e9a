"""Claims and self-checks: what they show, and when they stop."""

from __future__ import annotations

import math

import pytest

from msvision.claims import claim
from msvision.exercises import self_check


def test_a_claim_shows_sentence_number_and_bound(capsys):
    claim("It holds", 0.12345, at_least=0.1, at_most=0.2)
    assert capsys.readouterr().out == "claim holds: It holds — measured 0.12, at least 0.1 and at most 0.2\n"


@pytest.mark.parametrize(
    ("measured", "bounds"),
    [(0.09, {"at_least": 0.1}), (0.21, {"at_most": 0.2}), (math.nan, {"at_least": 0}), (math.nan, {"at_most": 0})],
)
def test_a_claim_that_does_not_hold_stops(measured, bounds):
    with pytest.raises(AssertionError, match="claim fails: It holds — measured"):
        claim("It holds", measured, **bounds)


def test_a_claim_needs_a_bound():
    with pytest.raises(ValueError, match="claim needs a bound"):
        claim("It holds", 1.0)


def test_in_a_notebook_a_claim_carries_its_data(monkeypatch):
    import IPython

    shown = []
    monkeypatch.setattr(IPython, "get_ipython", lambda: object())
    monkeypatch.setattr(IPython.display, "display", lambda data, raw: shown.append(data))
    claim("a < b & c", 1, at_least=1)
    assert shown[0]["application/vnd.msvision.claim+json"] == {
        "sentence": "a < b & c",
        "measured": "1",
        "bound": "at least 1",
    }
    assert "a &lt; b &amp; c" in shown[0]["text/html"]


def test_a_self_check_never_stops(capsys):
    def wrong():
        raise RuntimeError("")

    self_check("9.9", wrong)
    self_check("9.9", lambda: None)
    assert capsys.readouterr().out == "Exercise 9.9 is open: RuntimeError\nExercise 9.9 is solved.\n"
