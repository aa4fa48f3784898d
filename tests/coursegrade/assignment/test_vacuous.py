"""Answers without the skill: which a master's tests let pass."""

from pathlib import Path

import numpy as np
import pytest

from coursegrade.assignment import needs
from coursegrade.assignment.master import parse_master, read_master
from coursegrade.assignment.vacuous import vacuous_answers

ROOT = Path(__file__).parents[3]
HEAD = "---\ngrading: {assignment: small}\n---\n\n"
CELL = "```{{code-cell}} ipython3\n---\ngrade: {{{grade}}}\n---\n{source}\n```\n\n"
GIVEN = "```{code-cell} ipython3\nimport numpy as np\n```\n\n"


def passing(master):
    """Return which answers pass, with the tasks: run here, without a sandbox."""
    found = []
    for what, texts in vacuous_answers(master):
        for task in master.tasks.values():
            if not task.manual and task.answers[-1].id in texts:
                if _passes(master, task, texts):
                    found.append((task.name, what))
    return found


def _passes(master, task, texts):
    space = {"__name__": "test", "student_id": "ann", "class_key": "public"}
    for cell in master.cells[: master.cells.index(task.test)]:
        if cell.role in ("given", "answer"):
            _run(cell, texts.get(cell.id, cell.source), space)
    try:
        _run(task.test, task.test.source, space)
    except Exception:
        return False
    return True


def _run(cell, source, space):
    exec(compile(needs.tree_of(source), cell.id, "exec"), space)


def small(test, answer="def double(x):\n    return 2 * x"):
    source = f"### BEGIN SOLUTION\n{answer}\n### END SOLUTION"
    return parse_master(
        HEAD
        + GIVEN
        + CELL.format(grade="task: a, points: 1", source=source)
        + CELL.format(grade="tests: a", source=test)
    )


PUBLIC = "assert double(2) == 4\n"
ARRAY = "x = np.arange(3.0)\n"


@pytest.mark.parametrize(
    ("test", "passes"),
    [
        (PUBLIC + "assert double(3) == 6", set()),
        (PUBLIC, {"always that of the first call", "empty from the second call on"}),
        (f"{PUBLIC}{ARRAY}assert np.allclose(double(x), 2 * x)", {"empty from"}),
        (f"{ARRAY}assert all(double(x) == 2 * x)", {"empty", "always"}),
        (f"{PUBLIC}{ARRAY}assert double(x).shape == x.shape", {"the first argument"}),
        (f"{PUBLIC}{ARRAY}assert np.array_equal(double(x), 2 * x)", set()),
    ],
)
def test_what_a_test_lets_pass(test, passes):
    found = {what for _, what in passing(small(test))}
    for start in passes:
        assert any(what.startswith(start) for what in found), (start, found)
    assert passes or not found


def test_a_plain_name_is_tried_empty():
    answer = "numbers = np.arange(3.0)"
    test = "assert np.allclose(numbers, [0, 1, 2])"
    master = small(test.replace("[0, 1, 2]", "[[0, 1, 2]]"), answer)
    assert passing(master) == [("a", "empty")]
    assert passing(small("assert np.array_equal(numbers, [0, 1, 2])", answer)) == []


@pytest.mark.parametrize(
    ("name", "task"),
    [("vanishing_exploding", "norms"), ("cures", "value"), ("cures", "norm")],
)
def test_a_master_that_looks_at_no_shape_gives_points_for_nothing(name, task):
    text = (ROOT / f"assignments/{name}.md").read_text(encoding="utf-8")
    shapes = "shapes = np.shape(found) == np.shape(right)"
    assert shapes in text
    for instead, passes in ((shapes, False), ("shapes = True", True)):
        master = parse_master(text.replace(shapes, instead))
        texts = dict(vacuous_answers(master))["empty from the second call on"]
        assert _passes(master, master.tasks[task], texts) == passes


def test_tiny_has_none():
    tiny = read_master(ROOT / "tests/data/tiny.md")
    assert [what for what, _ in vacuous_answers(tiny)]
    assert np.size(passing(tiny)) == 0


REPAIR = """def repair(model):
    layers = [keras.Input(model.input_shape[1:])]
    for index, layer in enumerate(model.layers):
        relu = layer.activation is keras.activations.relu
        init = keras.initializers.Orthogonal(2**0.5 if relu else 1.0, seed=SEED)
        layers.append(keras.layers.Dense(
            layer.units, layer.activation, kernel_initializer=init))
    net = keras.Sequential(layers)
    CHANGE
    return net
"""
TIMES = "for k, layer in enumerate(net.layers[:-1]): layer.set_weights(["
TIMES += "(-1) ** k * layer.get_weights()[0], layer.get_weights()[1]])"
CURE = """def cure(model):
    hidden = [
        keras.layers.Dense(64, "relu", kernel_initializer="he_normal")
        for _ in model.layers[:-1]
    ]
    last = keras.layers.Dense(10, "softmax")
    net = keras.Sequential([keras.Input((64,)), *hidden, last])
    net.compile(keras.optimizers.Adam(0.002, clipnorm=1.0), LOSS)
    CHANGE
    return net
"""
TRAINED = "accuracy_after(net)\n    net.compile(keras.optimizers.SGD(0.0), LOSS)"
LOSS = "'sparse_categorical_crossentropy'"
LINEAR = "net = keras.Sequential([keras.Input((64,)), net.layers[-1].__class__(10)])"
LINEAR += f"\n    net.compile('adam', {LOSS})"
# The hidden layers stand there, and nothing of them reaches the output.
BESIDE = """pixels = keras.Input((64,))
    hidden = keras.layers.Rescaling(0.0)(keras.Sequential(net.layers[:-1])(pixels))
    sums = keras.layers.Add()([pixels, hidden])
    net = keras.Model(pixels, keras.layers.Dense(10, "softmax")(sums))
    net.compile(keras.optimizers.Adam(0.05), LOSS)"""
FROZEN = "for layer in net.layers[:-1]: layer.trainable = False"


@pytest.mark.parametrize(
    ("name", "task", "answer"),
    [
        ("initializers", "repair", REPAIR.replace("SEED", "min(index, 2) + 1")),
        ("initializers", "repair", REPAIR.replace("SEED", "index % 7 + 1")),
        (
            "initializers",
            "repair",
            REPAIR.replace("SEED", "1").replace("CHANGE", TIMES),
        ),
        ("cures", "cure", CURE.replace("CHANGE", LINEAR)),
        ("cures", "cure", CURE.replace("CHANGE", FROZEN)),
        ("cures", "cure", CURE.replace("CHANGE", TRAINED)),
        ("cures", "cure", CURE.replace("CHANGE", BESIDE)),
    ],
    ids=("copies", "seven", "signs", "linear", "frozen", "trained", "beside"),
)
def test_an_answer_beside_the_task_is_wrong(name, task, answer):
    master = read_master(ROOT / f"assignments/{name}.md")
    text = answer.replace("LOSS", LOSS).replace("    CHANGE\n", "")
    assert not _passes(master, master.tasks[task], {task: text})


def test_the_same_answer_without_the_trick_is_right():
    master = read_master(ROOT / "assignments/initializers.md")
    right = REPAIR.replace("SEED", "index + 1").replace("    CHANGE\n", "")
    assert _passes(master, master.tasks["repair"], {"repair": right})
