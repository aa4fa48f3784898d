"""Ordinary accidents: 32 notebooks as students hand them in, two graded tasks each.

Each is the released notebook of ``saturation.md`` with right answers and one accident.
``ACCIDENTS`` holds by name the fair points of its tasks, ``slope`` (2) and ``part``
(3), worked out by hand, and what happened to the notebook.
"""

import json
import re
from pathlib import Path

import nbformat
import numpy as np

from coursegrade.assignment.master import read_master
from coursegrade.release import released_notebook
from coursekit.grading import class_key, personal_rng
from hostile import code_cell, grade_id

PATH = Path(__file__).parents[1] / "data/saturation.md"
MASTER = read_master(PATH)
SECRET = "s3cret-of-the-class"
SLOPE = "def tanh_slope(z):\n    return 1 - np.tanh(z) ** 2"
STUB = "# YOUR CODE HERE\nraise NotImplementedError()"
ANSWERS = {
    "slope": SLOPE,
    "part": "my_part = float((1 - np.tanh(my_inputs) ** 2 < my_limit).mean())",
    "explain": "\nThe slope is near zero, so the product of factors is.",
}


def _index(made, name):
    return next(i for i, c in enumerate(made["cells"]) if _name(c) == name)


def _name(cell):
    return grade_id(cell["metadata"]) or ""


def _cell(made, name):
    return made["cells"][_index(made, name)]


def _as_it_is(made):
    pass


def _replaced(name, old, new):
    """Return what changes a text in a cell."""

    def change(made):
        cell = _cell(made, name)
        assert old in cell["source"]
        cell["source"] = cell["source"].replace(old, new)

    return change


def _answered(name, source):
    """Return what writes another answer, below the line that marks it."""

    def change(made):
        cell = _cell(made, name)
        cell["source"] = cell["source"].partition("\n")[0] + "\n" + source

    return change


def _with(*cells):
    """Return what puts in cells, pairs of a place and a text.

    A place is the name of the cell behind it, a number, or None for the end.
    """

    def change(made):
        for place, source in cells:
            if isinstance(place, str):
                place = _index(made, place)
            place = len(made["cells"]) if place is None else place
            made["cells"].insert(place, code_cell(source))

    return change


def _all(*changes):
    def change(made):
        for one in changes:
            one(made)

    return change


def _tests_cleared(made):
    for name in ("slope_test", "part_test"):
        _cell(made, name)["source"] = ""


def _tests_deleted(made):
    made["cells"] = [c for c in made["cells"] if not _name(c).endswith("_test")]


def _colab_metadata(made):
    made["metadata"] = {"colab": {"provenance": []}, "accelerator": "GPU"}
    for number, cell in enumerate(made["cells"]):
        cell["id"] = f"Xy{number:02d}abcdefgh"
        cell["metadata"] = {"id": cell["id"], "outputId": "0f-1"}


def _cell_retyped(made):
    place = _index(made, "slope")
    made["cells"][place] = code_cell(SLOPE)


def _answer_in_new_cell(made):
    place = _index(made, "slope")
    made["cells"].insert(place + 1, code_cell(SLOPE))
    head = "def tanh_slope(z):\n    "
    _answered("slope", head + STUB.replace("\n", "\n    "))(made)


def _literal_number(spelled):
    """Return what writes a number down, computed from the data of an id."""

    def change(made):
        rng = personal_rng(spelled, class_key(SECRET, MASTER.name), "part")
        inputs = np.round(rng.normal(0, rng.uniform(1, 4), size=40), 2)
        limit = round(float(rng.uniform(0.02, 0.2)), 3)
        part = float((1 - np.tanh(inputs) ** 2 < limit).mean())
        _answered("part", f"my_part = {part!r}")(made)
        cell = _cell(made, "student")
        line = f'student_id = "{spelled}"'
        cell["source"] = re.sub('student_id = ".*"', line, cell["source"])

    return change


_TIMED = _replaced("slope", "# Answer", "%%time\n# Answer")
#: By name: fair points of both tasks, and the accident.
ACCIDENTS = {
    "good": (2, 3, _as_it_is),
    "renamed": (0, 3, _replaced("slope", "tanh_slope", "slope_of_tanh")),
    "tests_cleared": (2, 3, _tests_cleared),
    "tests_deleted": (2, 3, _tests_deleted),
    "tests_edited": (2, 3, _replaced("part_test", "assert", "True or")),
    "extra_cells": (
        *(2, 3),
        _with(("part", "print(my_inputs[:3]); scratch = 1 / 3"), (None, "1 / 0")),
    ),
    "print_not_return": (
        0,
        3,
        _answered("slope", SLOPE.replace("return 1", "print(1") + ")"),
    ),
    "returns_list": (
        *(2, 3),
        _answered("slope", SLOPE.replace("return 1", "return list(1") + ")"),
    ),
    "wrong_type_str": (2, 0, _replaced("part", "float(", "str(")),
    "numpy_scalar": (2, 3, _replaced("part", "float(", "(")),
    "zero_d_array": (2, 3, _replaced("part", "float(", "np.array(")),
    "colab_metadata": (2, 3, _colab_metadata),
    "out_of_order": (
        *(2, 3),
        _all(
            _answered("slope", "def tanh_slope(z):\n    return helper(z)"),
            _with((None, SLOPE.replace("tanh_slope", "helper"))),
        ),
    ),
    "partial": (2, 0, _answered("part", STUB)),
    "loop": (2, 0, _answered("part", "k = 0\nwhile k < 10:\n    my_part = 0.5")),
    "matplotlib_windows": (
        *(2, 3),
        _with(
            ("slope", "%matplotlib qt\nimport matplotlib.pyplot as plt\nplt.plot([1])"),
            ("part", "%matplotlib widget\nplt.plot([1]); plt.show(block=True)"),
        ),
    ),
    "pip_cells": (
        *(2, 3),
        _with((1, "!pip install numpy"), (2, "%pip install seaborn\nimport seaborn")),
    ),
    "time_magic": (2, 3, _TIMED),
    "time_magic_colab": (2, 3, _all(_TIMED, _colab_metadata)),
    "magics": (
        *(2, 3),
        _with(
            ("part", "%timeit -n1 -r1 tanh_slope(np.zeros(3))\n!ls"),
            ("part", "%load_ext autoreload\n%autoreload 2"),
            ("part", "%%bash\necho hi"),
        ),
    ),
    "input_extra": (2, 3, _with((1, 'name = input("Your name? ")\nprint(name)'))),
    "answer_in_new_cell": (2, 3, _answer_in_new_cell),
    "cell_retyped": (2, 3, _cell_retyped),
    "stub_raise_left": (
        *(2, 3),
        _answered("part", f"{ANSWERS['part']}\nraise NotImplementedError()"),
    ),
    "id_left_empty": (2, 3, _replaced("student", '"id_left_empty"', '""')),
    "import_in_given": (
        *(2, 3),
        _all(
            _replaced("given_2", "import numpy", "import math\nimport numpy"),
            _answered(
                "slope", SLOPE.replace("np.tanh(z)", "np.vectorize(math.tanh)(z)")
            ),
        ),
    ),
    "two_attempts": (
        *(2, 3),
        _all(
            _answered("slope", "def tanh_slope(z):\n    return np.tanh(z)"),
            _with(("slope_test", SLOPE)),
        ),
    ),
    "drive_mount": (
        *(2, 3),
        _with((1, "from google.colab import drive\ndrive.mount('/content/drive')")),
    ),
    "print_flood": (2, 3, _with(("slope", "for i in range(300_000): print(i)"))),
    "exit_cell": (2, 3, _with((None, "exit()"))),
    "literal_number": (2, 3, _literal_number("literal_number")),
    "id_spelled_otherwise": (2, 3, _literal_number("Id Spelled Otherwise")),
}


def notebook(name):
    """Return the bytes of an accident's notebook; its student has its name."""
    made = json.loads(nbformat.writes(released_notebook(MASTER, SECRET)))
    for cell in made["cells"]:
        cell["source"] = "".join(cell["source"])
    for task, answer in ANSWERS.items():
        _answered(task, answer)(made)
    _replaced("student", '""', f'"{name}"')(made)
    ACCIDENTS[name][2](made)
    return json.dumps(made).encode()
