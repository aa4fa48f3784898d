"""The arithmetic of the benchmarks."""

import json

import numpy as np
import pytest

import _ratio


def test_every_way_runs_once_a_round_in_changing_order():
    calls, now = [], iter(range(100))
    ways = {name: lambda name=name: calls.append(name) for name in "ab"}
    seconds = _ratio.interleave(ways, 3, clock=lambda: next(now))
    assert "".join(calls) == "ab" + "ab" + "ba" + "ab"
    assert {k: v.tolist() for k, v in seconds.items()} == {"a": [1] * 3, "b": [1] * 3}


def test_ratios_are_taken_round_by_round():
    found = _ratio.ratio([2.0, 30.0, 4.0], [1.0, 10.0, 1.0])
    assert found == {"median": 3.0, "least": 2.0, "most": 4.0, "rounds": 3}


@pytest.mark.parametrize("median, met", [(3.9, False), (4.0, True)])
def test_a_missed_promise_is_an_error(median, met, tmp_path, capsys):
    found = _ratio.ratio(np.full(3, median), np.ones(3))
    rows = [_ratio.row("a / b", found, at_least=4, notes=["why"])]
    with pytest.raises(SystemExit) as end:
        _ratio.finish(rows, tmp_path / "new" / "rows.json")
    assert end.value.code == (0 if met else 1)
    out = capsys.readouterr().out
    assert ("MISSED" in out) != met and "why" in out
    assert json.loads((tmp_path / "new" / "rows.json").read_text())[0]["met"] is met


def test_an_upper_bound():
    found = _ratio.ratio([0.2], [1.0])
    assert not _ratio.row("a", found, at_most=0.1)["met"]
    assert _ratio.row("a", found, at_most=0.3)["met"]
