"""A submission's cells: read, known again, and put in order."""

import json

import nbformat
import pytest

from coursegrade.examiner.notebook import (
    LIMIT_MB,
    Submitted,
    UnreadableError,
    answers,
    below,
    plan,
    read_notebook,
    unanswered,
    written,
)
from coursegrade.release import released_notebook
from submissions import MASTER, TINY, solved

WHOLE = '{"cells": [{"cell_type": "code", "source": "größe = 1"}], "nbformat": 4}'


def cells_of():
    made = nbformat.writes(released_notebook(MASTER))
    return read_notebook(made.encode())


def test_plan_restores_what_is_not_the_students():
    cells = cells_of()
    kept = [
        Submitted(cell.id, "mine = [0]" if cell.id == "given_4" else cell.source, True)
        for cell in cells
        if cell.id not in ("given_2", "mean_test")
    ]
    steps = plan(MASTER, kept, "student_id = 'ann'")
    run = [step.source for step in steps if step.do == "run"]
    assert any(source.startswith("import keras") for source in run)
    assert "mine = [0]" not in run
    assert run.index("student_id = 'ann'") < next(
        index for index, source in enumerate(run) if "personal_rng(student" in source
    )
    assert [step.task for step in steps if step.do == "keep"] == [
        "mean",
        "stddev",
        "network",
    ]


def test_a_helper_cell_runs_where_the_student_put_it():
    cells = cells_of()
    index = next(i for i, cell in enumerate(cells) if cell.id == "mean")
    cells.insert(index, Submitted("", "helper = 1", True))
    run = [s.source for s in plan(MASTER, cells, "student") if s.do == "run"]
    place = run.index("helper = 1")
    assert (
        "personal_rng(student_id" in run[place - 1] and "Answer mean" in run[place + 1]
    )


def test_a_copied_answer_cell_runs_after_the_first():
    cells = cells_of()
    cells.append(Submitted("mean", "mean = 2", True))
    steps = plan(MASTER, cells, "student")
    assert steps[-1].source == "mean = 2"


def test_unanswered():
    cells = cells_of()
    task = MASTER.tasks["mean"]
    assert "as it was released" in unanswered(MASTER, task, cells)
    assert "not in the notebook" in unanswered(MASTER, task, [])
    changed = [
        Submitted("mean", "mean = 3", True) if cell.id == "mean" else cell
        for cell in cells
    ]
    assert unanswered(MASTER, task, changed) == ""


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"{}", "not a notebook"),
        (b'{"cells": [{"cell_type": "code"}]}', "not a notebook"),
        (b'{"cells": 3}', "not a notebook"),
        (b"\xff\xfe", "not a notebook"),
        (b" " * (LIMIT_MB * 2**20 + 1), "larger than"),
        (json.dumps({"cells": [1] * 20_001}).encode(), "more than"),
        (b"[" * 8_000_001, "too many texts and lists"),
        (b"PK\x03\x04\x14", "a zip that is called"),
        (WHOLE[:40].encode(), "damaged or in another encoding"),
        (f"<<<<<<< HEAD\n{WHOLE}".encode(), "damaged or in another encoding"),
        (WHOLE.encode("utf-16"), "damaged or in another encoding"),
        (WHOLE.encode("latin-1"), "damaged or in another encoding"),
        (b"\xef\xbb\xbf" + WHOLE.encode("utf-8-sig"), "damaged or in another encoding"),
    ],
)
def test_unreadable_notebooks_say_why(data, said):
    with pytest.raises(UnreadableError, match=said):
        read_notebook(data)


def test_large_outputs_cost_nothing():
    made = {"cell_type": "code", "source": "x = 1", "metadata": {}}
    made["outputs"] = [{"output_type": "stream", "text": ["x" * 79 + "\n"] * 640_000}]
    data = json.dumps({"cells": [made]}).encode()
    assert len(data) > 50 * 2**20
    assert read_notebook(data) == [Submitted("", "x = 1", True)]


def changed(cells, name, source):
    return [
        Submitted(cell.id, source, True) if cell.id == name else cell for cell in cells
    ]


def at(cells, name):
    return next(index for index, cell in enumerate(cells) if cell.id == name)


def kept_after(steps, task):
    """Return the texts that have run when a task's names are kept."""
    index = next(i for i, s in enumerate(steps) if (s.do, s.task) == ("keep", task))
    return [step.source for step in steps[:index] if step.do == "run"]


STDDEV = "def he_stddev(fan_in):\n    return 1.0"


@pytest.mark.parametrize(
    "first", ["%%time\n{}", "\n{}", "# mine\n{}  ", "%%capture\n# a\n  {}"]
)
def test_an_answer_without_metadata_is_known_by_its_line(first):
    task = MASTER.tasks["stddev"]
    line = first.format("# Answer stddev (keep this line)")
    cells = [Submitted("", f"{line}\n{STDDEV}", True)]
    assert unanswered(MASTER, task, cells) == ""
    assert plan(MASTER, cells, "student")[-2].task != ""


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        [],
        {"id": "x", "outputId": "0f", "colab": {"base_uri": "https://x"}},
        {"vscode": {"languageId": "python"}},
        {"_uuid": "8f28", "trusted": True, "execution": {"iopub.status.busy": "x"}},
        {"cell_id": "0", "deepnote_cell_type": "code"},
    ],
)
def test_a_notebook_that_another_tool_saved(metadata):
    made = json.loads(nbformat.writes(released_notebook(MASTER)))
    made |= {"metadata": metadata, "nbformat_minor": 4}
    for cell in made["cells"]:
        text = "".join(cell["source"]).replace("raise NotImplementedError()", "pass")
        text = text.replace("YOUR ANSWER HERE", "Half of them.")
        cell |= {"metadata": metadata, "source": text.splitlines(keepends=True)}
        del cell["id"]
    cells = read_notebook(json.dumps(made).encode())
    assert not any(cell.id for cell in cells)
    for task in MASTER.tasks.values():
        assert len(answers(MASTER, task, cells)) == 1
        assert unanswered(MASTER, task, cells) == ""


def test_an_answer_that_was_split():
    line = "# Answer mean (keep this line)"
    for first in (line, f"{line}\ntotal = mine.sum()"):
        texts = (first, "mean = total / 9")
        parts = [Submitted("mean" * (text is first), text, True) for text in texts]
        assert unanswered(MASTER, MASTER.tasks["mean"], parts) == ""
        steps = plan(MASTER, parts, "student")
        assert [s.task for s in steps if s.source in texts] == ["mean", "mean"]
        assert kept_after(steps, "mean")[-2:] == list(texts)


def test_cells_that_were_copied_run_as_they_stand():
    cells = [Submitted("mean", "mean = 1.0", True), Submitted("mean_test", "", True)]
    texts = kept_after(plan(MASTER, cells * 2, "student"), "mean")
    assert texts.count("mean = 1.0") == 2
    # The stub below does not undo what stands above it.
    stub = Submitted("mean", "# YOUR CODE HERE\nraise NotImplementedError()", True)
    assert unanswered(MASTER, MASTER.tasks["mean"], [cells[0], stub]) == ""


def test_two_answers_in_one_cell():
    both = "# Answer mean (keep this line)\nmean = 1.0\n"
    both += f"# Answer stddev (keep this line)\n{STDDEV}"
    cells = cells_of()
    cells = changed([cell for cell in cells if cell.id != "stddev"], "mean", both)
    steps = plan(MASTER, cells, "student")
    for task in ("mean", "stddev"):
        assert both in kept_after(steps, task)
        assert unanswered(MASTER, MASTER.tasks[task], cells) == ""


def test_the_stub_left_and_the_answer_below():
    for name in ("", "stddev"):
        cells = cells_of()
        cells.insert(at(cells, "stddev") + 1, Submitted(name, STDDEV, True))
        assert unanswered(MASTER, MASTER.tasks["stddev"], cells) == ""
        steps = plan(MASTER, cells, "student")
        assert kept_after(steps, "stddev")[-1] == STDDEV
        # It is the task's: the task pays for its time.
        assert [s.task for s in steps if s.source == STDDEV] == ["stddev"]


def test_an_answer_pasted_into_a_new_cell():
    for drop in (("stddev",), ("stddev", "stddev_test")):
        cells = cells_of()
        place = at(cells, "stddev")
        cells.insert(place, Submitted("", STDDEV, True))
        cells = [cell for cell in cells if cell.id not in drop]
        assert unanswered(MASTER, MASTER.tasks["stddev"], cells) == ""
        assert kept_after(plan(MASTER, cells, "student"), "stddev")[-1] == STDDEV


def test_the_released_stub_in_another_cell_is_no_answer():
    cells = cells_of()
    stub = cells[at(cells, "stddev")].source
    cells.append(Submitted("", stub, True))
    assert "as it was released" in unanswered(MASTER, MASTER.tasks["stddev"], cells)


def test_what_was_added_to_a_given_cell_counts_and_no_change_does():
    cells = cells_of()
    for name in ("given_2", "student", "mean_test"):
        old = cells[at(cells, name)].source
        more = f"{old}\nimport math\nEPSILON = 1e-6\nmine = [0]\nstudent_id = 'bob'"
        steps = plan(MASTER, changed(cells, name, more), "student_id = 'ann'")
        texts = [step.source for step in steps if step.do == "run"]
        assert "import math\nEPSILON = 1e-06" in texts, name
        assert not any("mine = [0]" in text or "'bob'" in text for text in texts)


def test_an_answer_that_was_moved_up_runs_with_what_it_needs():
    cells = cells_of()
    cells.insert(0, cells.pop(at(cells, "network")))
    steps = plan(MASTER, cells, "student_id = 'ann'")
    texts = [step.source for step in steps if step.do == "run"]
    network = next(i for i, text in enumerate(texts) if "def network" in text)
    assert any("import keras" in text for text in texts[:network])
    # The tasks between are tested where their own tests stand.
    assert any("Answer mean" in text for text in kept_after(steps, "mean"))


def test_a_given_cell_that_was_moved_down_still_runs_first():
    cells = cells_of()
    cells.append(cells.pop(at(cells, "given_4")))
    texts = kept_after(plan(MASTER, cells, "student_id = 'ann'"), "mean")
    mine = next(i for i, text in enumerate(texts) if text.startswith("mine ="))
    assert mine < next(i for i, text in enumerate(texts) if "Answer mean" in text)


@pytest.mark.parametrize("gone", ["given_2", "student"])
def test_a_cell_that_was_deleted_runs_above_those_that_need_it(gone):
    cells = cells_of()
    left = [cell for cell in cells if cell.id != gone]
    whole, less = (
        list(filter(None, kept_after(plan(MASTER, one, "student"), "mean")))
        for one in (cells, left)
    )
    assert less == whole


def test_a_name_below_its_test_is_found():
    cells = cells_of()
    cells.append(cells.pop(at(cells, "stddev")))
    steps = plan(MASTER, cells, "student")
    assert below(steps, "stddev", "he_stddev") == len(cells)
    assert below(steps, "stddev", "no_such_name") == 0


def test_a_text_below_its_cell_is_the_answer():
    cells = cells_of()
    assert "as it was released" in unanswered(MASTER, MASTER.tasks["why"], cells)
    cells.insert(at(cells, "why") + 1, Submitted("", "Half of the units.", False))
    assert unanswered(MASTER, MASTER.tasks["why"], cells) == ""
    assert [cell.source for cell in answers(MASTER, MASTER.tasks["why"], cells)][
        1:
    ] == ["Half of the units."]


@pytest.mark.parametrize(
    "damaged",
    [
        {"cell_type": "code", "metadata": {}, "source": None},
        {"cell_type": "code", "source": [1, None]},
        {"cell_type": "code", "metadata": "x", "source": 3},
        {"metadata": []},
        None,
        [1],
    ],
)
def test_a_damaged_cell_costs_that_cell_alone(damaged):
    good = {"cell_type": "code", "metadata": {}, "source": ["a = 1\n", "b = 2"]}
    data = json.dumps({"cells": [damaged, good]}).encode()
    assert read_notebook(data)[1] == Submitted("", "a = 1\nb = 2", True)


def test_an_old_format_is_named():
    old = {"nbformat": 3, "worksheets": [{"cells": []}]}
    with pytest.raises(UnreadableError, match="old format.*save it"):
        read_notebook(json.dumps(old).encode())


@pytest.mark.parametrize(
    "source",
    ["(" * 5000, "-" * 50_000 + "1", "\0", "def he_stddev(", "x = 1\n" * 30_000],
)
def test_a_text_that_cannot_be_parsed_harms_nothing(source):
    cells = [*cells_of(), Submitted("", f"he_stddev\n{source}", True)]
    assert plan(MASTER, cells, "student")[-1].source == f"he_stddev\n{source}"


def test_what_no_file_can_hold_is_no_end():
    """Half of a surrogate pair, in a cell, in its id, and in a message."""
    half = {"cell_type": "code", "source": "x = 1  # \ud800", "metadata": {}}
    half["metadata"] = {"nbgrader": {"grade_id": "\udfff"}}
    (cell,) = read_notebook(json.dumps({"cells": [half]}).encode())
    assert (cell.source, cell.id) == ("x = 1  # ?", "?") and written("\ud800") == "?"
    deep = json.loads("[" * 400 + "]" * 400)
    half["metadata"] = {"nbgrader": {"grade_id": deep}}
    more = {"cell_type": "markdown", "source": "a", "attachments": {"a": {"b": deep}}}
    found = read_notebook(json.dumps({"cells": [half, more]}).encode())
    assert found[0].id == "" and found[1].source.startswith("a\n\n(with a picture")


def test_a_heading_is_an_answer_and_a_picture_another_one():
    task = MASTER.tasks["why"]

    def read(text, **more):
        data = json.loads(solved(TINY, "", change={"why": text}))
        for cell in data["cells"]:
            if cell["metadata"].get("nbgrader", {}).get("grade_id") == "why":
                cell |= more
        return read_notebook(json.dumps(data).encode())

    heading = read("YOUR ANSWER HERE\n# Var(W) = 2 / n")
    assert unanswered(MASTER, task, heading) == ""
    assert unanswered(MASTER, task, read("YOUR ANSWER HERE"))
    texts = []
    for data in ("aGVsbG8=", "d29ybGQ="):
        more = {"attachments": {"image.png": {"image/png": data}}}
        (cell,) = answers(MASTER, task, read("![](attachment:image.png)", **more))
        texts.append(cell.source)
    assert "with a picture" in texts[0] and texts[0] != texts[1]
    lines = [{"i": {"image/png": ["aGVs", end]}} for end in ("bG8=", "bGE=")]
    both = [answers(MASTER, task, read("a", attachments=one))[0] for one in lines]
    assert both[0].source != both[1].source
    odd = read("a", attachments={"a": [1], "b": "c", "d": {"e": 3}})
    assert "with a picture" in answers(MASTER, task, odd)[0].source
