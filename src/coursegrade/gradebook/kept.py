"""What a class's runs keep: one file, class.toml, in the folder of its grades."""

import json
import os
import re
import tomllib
from pathlib import Path
from zoneinfo import ZoneInfo

from coursegrade.gradebook.journal import write_atomically
from coursegrade.gradebook.late import until

NAME = "class.toml"
SHEETS = ("worksheet", "gradebook")
FILES = ("roster", *SHEETS, "times", "extensions")
KEYS = ("due", "timezone", "penalty", *FILES, "column")
FORGET = "none"


class KeptError(ValueError):
    """A setting cannot be used; the message names it and the cure."""


def read_kept(out):
    """Return the settings of earlier runs: a dict of text, and of text for ``chosen``.

    Raises
    ------
    KeptError
        If the file is no TOML, or has a key or value that is not known.
    """
    path = Path(out) / NAME
    if not path.exists():
        return {}
    try:
        kept = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise KeptError(f"{path}: {error}") from None
    if unknown := sorted(set(kept) - {*KEYS, "chosen"}):
        raise KeptError(
            f"{path}: unknown key {', '.join(unknown)}; it takes {', '.join(KEYS)}, "
            "and a table [chosen]"
        )
    chosen = kept.pop("chosen", {})
    if not isinstance(chosen, dict):
        raise KeptError(f"{path}: [chosen] is a table: id = path of the notebook")
    kept = {key: str(value) for key, value in kept.items()}
    return kept | {"chosen": {str(key): str(one) for key, one in chosen.items()}}


def outputs(out):
    """Return the folders in which runs kept something, in the folder of all grades.

    They may lie among hand-ins. Where there is nothing else in it, it is the folder
    itself.
    """
    inside = [one for one in Path(out).glob("*") if not one.name.startswith(".")]
    made = [one for one in inside if (one / NAME).is_file()]
    return [Path(out)] if len(made) == len(inside) else made


def updated(kept, out, given):
    """Return settings with those that a run was given; ``none`` forgets one.

    Files are kept relative to ``out``, so that both can move together.
    """
    made = dict(kept)
    for key, value in given.items():
        if value is None:
            continue
        if value == FORGET:
            made.pop(key, None)
        elif key in FILES:
            made[key] = os.path.relpath(value, out)
        else:
            made[key] = str(value)
    return made


def write_kept(out, kept):
    """Write the settings; what is empty is left out."""
    lines = ["# What later runs keep. Change it here, or give the option once more."]
    lines += [f"{key} = {_quoted(kept[key])}" for key in KEYS if kept.get(key)]
    if chosen := kept.get("chosen"):
        lines += ["", "# The notebook that counts, where several could.", "[chosen]"]
        lines += [f"{_quoted(key)} = {_quoted(one)}" for key, one in chosen.items()]
    write_atomically(Path(out) / NAME, "\n".join(lines) + "\n")


def values(kept, out):
    """Return what the settings say: a dict with all of ``KEYS``.

    ``due`` is a time with a zone, ``timezone`` that of times that name none, None for
    this machine's, ``penalty`` a fraction, and a file a path; None where nothing is
    said.

    Raises
    ------
    KeptError, ValueError
        If a value cannot be used, or a file is gone.
    """
    made = {key: kept.get(key) or None for key in KEYS}
    if name := made["timezone"]:
        try:
            made["timezone"] = ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            raise KeptError(
                f"timezone {name!r} is not known; Europe/Berlin is one"
            ) from None
    if made["due"]:
        made["due"] = until(made["due"], made["timezone"])
    made["penalty"] = fraction(kept.get("penalty", "0"))
    for key in FILES:
        if made[key]:
            # Put together as text: on the first run the folder is not there yet.
            made[key] = path = Path(os.path.normpath(Path(out) / made[key]))
            if not path.is_file():
                raise KeptError(
                    f"{path}: there is no such file; --{key} takes another one, or "
                    f"`{FORGET}`"
                )
    return made


def fraction(text):
    """Return a penalty as the part of the points that a late day takes.

    Raises
    ------
    KeptError
        If the unit or the size is in doubt: ``10`` could be ten per cent or points.
    """
    number = re.fullmatch(r"\s*(\d+(?:[.,]\d*)?|[.,]\d+)\s*(%?)\s*", str(text))
    value = float(number[1].replace(",", ".")) if number else -1.0
    if number and number[2] and value <= 100:
        return value / 100
    if number and not number[2] and value < 1:
        return value
    example = f"{value:g}%" if 0 <= value <= 100 else "10%"
    raise KeptError(
        f"penalty {text!r}: write the part of the points that a late day takes, with "
        f"its unit: {example}, or 0.1 for a tenth"
    )


def _quoted(text):
    # A JSON string is a TOML string, but for one character.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
