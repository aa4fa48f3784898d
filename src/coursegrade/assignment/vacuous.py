"""Answers without the skill, which a master's tests have to refuse."""

from coursegrade.assignment import needs

# Behind the master's own solution. An answer that was right so far goes on with what is
# empty, always the same, or what it was given. An empty array of this shape broadcasts
# against all of up to three axes, and `all` of it is true.
_CHEAT = """
import numpy as _np


def _hollow(value):
    if isinstance(value, (list, tuple)):
        return type(value)(_hollow(item) for item in value)
    if isinstance(value, dict):
        return {{key: _hollow(item) for key, item in value.items()}}
    number = isinstance(value, (bool, int, float, _np.generic, _np.ndarray))
    return _np.zeros((0, 1, 1, 1)) if number or hasattr(value, "numpy") else None


def _cheating(solve):
    seen = []

    def cheat(*args, **kwargs):
        value = solve(*args, **kwargs)
        seen.append(value)
        return value if len(seen) <= {right} else {given}

    return cheat


for _name in {names}:
    if callable(globals()[_name]):
        globals()[_name] = _cheating(globals()[_name])
    elif {also}:
        globals()[_name] = _hollow(globals()[_name])
"""
_KINDS = {
    "empty": (0, "_hollow(value)"),
    "empty from the second call on": (1, "_hollow(value)"),
    "always that of the first call": (1, "seen[0]"),
    "the first argument": (0, "(args or [None])[0]"),
    "the first argument from the second call on": (1, "(args or [None])[0]"),
}


def vacuous_answers(master):
    """Yield what is wrong with the answers, and the answer cells' texts by id.

    The keys are those of the last answer cell of each task that is answered so;
    one whose answer is no function can only be empty. A task that passes for
    several students passes without the skill.
    """
    for what, (right, given) in _KINDS.items():
        texts = {}
        for task in master.tasks.values():
            if task.manual:
                continue
            asked = needs.needed(master.cells, task.test)[1]
            made = [needs.tree_of(cell.source) for cell in task.answers]
            names = sorted(asked & set().union(*map(needs.bound, made)))
            called = {getattr(node, "name", "") for tree in made for node in tree.body}
            empty = what == "empty"
            if empty or called & asked:
                cheat = _CHEAT.format(names=names, right=right, given=given, also=empty)
                last = task.answers[-1]
                texts[last.id] = f"{last.source}\n{cheat}"
        yield what, texts
