"""What a class's runs keep: read, changed, refused."""

import pytest

from coursegrade.gradebook import kept
from coursegrade.gradebook.kept import KeptError


def test_settings_are_kept_changed_and_forgotten(tmp_path):
    out = tmp_path / "grades/tiny"
    given = dict.fromkeys(kept.KEYS)
    given |= {"due": "2026-12-01T23:59", "penalty": "10%", "timezone": "Europe/Berlin"}
    given["roster"] = str(tmp_path / "names.csv")
    first = kept.updated({}, out, given)
    first["chosen"] = {'a"\\b\x7f': "ada/ü.ipynb"}
    kept.write_kept(out, first)
    assert kept.read_kept(out) == first
    with pytest.raises(KeptError, match="no such file; --roster takes"):
        kept.values(first, out)
    (tmp_path / "names.csv").write_text("id\n")
    assert kept.values(first, out)["roster"].resolve() == tmp_path / "names.csv"
    second = kept.updated(first, out, {"due": None, "penalty": "none"})
    assert second == {k: v for k, v in first.items() if k != "penalty"}
    due = kept.values(second, out)["due"]
    assert due.isoformat() == "2026-12-01T23:59:59.999999+01:00"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10%", 0.1),
        ("0.1", 0.1),
        ("0,1", 0.1),
        ("12.5 %", 0.125),
        ("100%", 1),
        ("0", 0),
    ],
)
def test_penalties(text, value):
    assert kept.fraction(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10", "10%, or 0.1"),
        ("1", "1%"),
        ("-0.1", "10%"),
        ("-1", "unit"),
        ("nan", "unit"),
        ("inf", "unit"),
        ("120%", "unit"),
        ("nan%", "unit"),
        ("-5%", "unit"),
        ("a tenth", "unit"),
        ("", "unit"),
    ],
)
def test_a_penalty_in_doubt_is_refused(text, said):
    with pytest.raises(KeptError, match=said):
        kept.fraction(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("due = ", "class.toml"),
        ('dew = "2026-12-01"', "unknown key dew; it takes due"),
        ('chosen = "ada"', "is a table"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, text, said):
    (tmp_path / kept.NAME).write_text(text)
    with pytest.raises(KeptError, match=said):
        kept.read_kept(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("due", "tomorrow", "write it like 2026-12-01T23:59"),
        ("timezone", "Mars/Olympus", "Europe/Berlin is one"),
        ("timezone", "../etc/passwd", "Europe/Berlin is one"),
        ("penalty", "10", "unit"),
    ],
)
def test_bad_settings_are_refused_before_the_grading(tmp_path, key, value, said):
    with pytest.raises(ValueError, match=said):
        kept.values({key: value}, tmp_path)


def test_a_value_that_toml_reads_as_a_time_or_number(tmp_path):
    (tmp_path / kept.NAME).write_text("due = 2026-12-01T23:59:00Z\npenalty = 0.1\n")
    read = kept.values(kept.read_kept(tmp_path), tmp_path)
    assert read["due"].isoformat() == "2026-12-01T23:59:00+00:00"
    assert read["penalty"] == 0.1
