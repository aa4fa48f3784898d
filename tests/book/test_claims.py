"""The page of claims: every statement of the notes, its verdict, measure and place."""

import re
from functools import cache
from pathlib import Path

import nbformat
import pytest
from markdown_it import MarkdownIt
from scipy.stats import binomtest

BOOK = Path(__file__).parents[2] / "book"
PAGE = BOOK / "reference" / "claims.md"
NOTEBOOKS = BOOK.parent / "_build" / "notebooks"
NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w]|\.\d)")
# How far a size can be trusted: a standard deviation, a count, limits, or exactness.
SPREAD = re.compile(
    r"\(sd [\d.]+\)|\b\d+ of \d+\b|[\d.]+ to [\d.]+|\bwithin [\d.]+|\bexact\b"
)
# Softmax has no depth over which an effect could have a size.
ONE_LAYER = "a layer that stands once"
# All statements of the lecture notes, in their order, the one on convolutions and those
# on large models: the page has these rows.
STATEMENTS = """
with small weights the gradient shrinks on its way back, for any activation
the lower layers then stay nearly as they were
you can tell by the parameters: those of higher layers change, of lower hardly
weights may become 0 during training
the gradient gets larger and larger on its way back
this makes updates very large, and gradient descent diverges
it happens because of the weights, not because of the activation
you can tell by an exponential growth of the parameters
weights may become NaN during training
the variances are 1/fan_avg (Glorot), 2/fan_in (He) and 1/fan_in (LeCun)
Glorot's initializer is right without an activation
Glorot's initializer is right for tanh
Glorot's initializer is right for the logistic function
Glorot's initializer is right for softmax
He's initializer is right for ReLU
He's initializer is right for the variants of ReLU
LeCun's initializer is right for SELU
`kernel_initializer="he_normal"` gives a layer He's initializer
`kernel_initializer="he_uniform"` does, too
so does an object, `HeUniform()`
the fan-in of a convolution is its window times its channels
ReLU makes both problems less likely at the beginning
ReLU does not guarantee that they stay away during training
BatchNorm addresses vanishing and exploding gradients
it stands before or after the activation
it zero-centers and normalizes, then scales and shifts by two new vectors
a network with such layers after its activations trains
clipping prevents exploding gradients in recurrent networks
clipping by value turns [0.9, 100.0] into [0.9, 1.0], near the diagonal
`SGD(clipvalue=1.0)` clips by value
`SGD(clipnorm=1.0)` clips by norm
ten epochs reach 0.5928 without and 0.7203 with `clipvalue=0.5`
ReLU helps against vanishing gradients
a simpler model helps against vanishing gradients
He's initializer helps against vanishing gradients
a better optimizer with a well-tuned learning rate helps
clipping helps against exploding gradients
a proper initializer helps against exploding gradients
L2 helps against exploding gradients
LayerNorm before the branch makes the gradient level, and smaller at its top
residual branches must start small, by one over the root of their number
a transformer needs a warm-up if it normalizes behind the sum, and none if before
RMSNorm trains as well as LayerNorm
without its scale attention's softmax has extremely small gradients
""".strip().split("\n")


def rows():
    """Return each claim's cells: statement, verdict with reason, measure, place."""
    found = []
    for token in MarkdownIt().parse(PAGE.read_text(encoding="utf-8")):
        if token.type == "fence" and token.info.startswith("{list-table}"):
            body = token.content.partition("\n* - ")[2]
            table = [" ".join(row.split()) for row in body.split("\n* - ")]
            found += [[c.strip() for c in row.split(" - ")] for row in table[1:]]
    return found


def boxes():
    """Return {label: text} of the labelled verdicts of all chapters."""
    found = {}
    for path in BOOK.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        box = r"^\((claim-[\w-]+)\)=\n:::\{admonition\} Verdict\n(.*?)^:::$"
        for label, body in re.findall(box, text, re.MULTILINE | re.DOTALL):
            assert label not in found
            found[label] = " ".join(body.split())
    return found


def labels(place):
    return re.findall(r"\{ref\}`[^<`]+ <([\w-]+)>`", place)


def test_every_statement_of_the_notes_has_its_row():
    assert [row[0].replace("\\", "") for row in rows()] == STATEMENTS


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_row_has_verdict_reason_figure_and_link(row):
    _, verdict, _, place = row
    bold = re.match(r"\*\*(.+?)\*\*(.+)", verdict)
    assert bold and len(bold[2].split()) >= 2
    figures = re.findall(r"\{numref\}`([\w-]+)`", place)
    (label,) = labels(place)
    chapter = label.split("-")[1]
    text = (BOOK / f"{chapter}.md").read_text(encoding="utf-8")
    assert figures and all(f"    name: {figure}\n" in text for figure in figures)
    # the chapter's box gives the same verdict
    stem = bold[1].split()[0].removesuffix("s").lower()
    assert stem in boxes()[label].lower()


def test_every_verdict_of_a_chapter_is_on_the_page():
    linked = {label for row in rows() for label in labels(row[3])}
    assert linked == set(boxes())


def test_every_verdict_has_its_label():
    for path in BOOK.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        count = text.count(":::{admonition} Verdict")
        assert count == len(re.findall(r"^\(claim-[\w-]+\)=$", text, re.MULTILINE))


def missing(measured):
    """Return what a row's measure does not state: seeds, settings or size."""
    head, colon, size = measured.partition(": ")
    seeds, _, settings = head.partition(", ")
    faults = []
    if not re.fullmatch(r"\d+ seeds?|No seed", seeds):
        faults.append("seeds")
    if not colon or len(settings.split()) < 2:
        faults.append("settings")
    if settings != ONE_LAYER and not (NUMBER.search(size) and SPREAD.search(size)):
        faults.append("size")
    return faults


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_row_states_seeds_settings_and_size(row):
    assert not missing(row[2])


@pytest.mark.parametrize(
    ("measured", "fault"),
    [
        ("20 layers of 100, He: 0.00 (sd 0.01) a layer.", "seeds"),
        ("5 seeds: 0.00 (sd 0.01) a layer.", "settings"),
        ("5 seeds, 20 layers of 100: level.", "size"),
        ("5 seeds, 20 layers of 100: 0.01 a layer.", "size"),
        ("5 seeds, 20 layers of 100", "size"),
    ],
)
def test_a_row_without_one_of_them_is_found(measured, fault):
    assert fault in missing(measured)


def strangers(measured, known):
    """Return the numbers of a measure that are not known, and wrong intervals.

    An interval stands behind its count, and is Wilson's for a confidence of 95 %.
    """
    found, count = set(), None
    pattern = r"(\d+) of (\d+)|\((?:interval )?(\d\.\d\d) to (\d\.\d\d)\)"
    for match in re.finditer(pattern, measured):
        if match[1]:
            count = int(match[1]), int(match[2])
            continue
        limits = binomtest(*count).proportion_ci(method="wilson")
        if [f"{limit:.2f}" for limit in limits] != [match[3], match[4]]:
            found.add(match[0])
    text = re.sub(r"\((?:interval )?\d\.\d\d to \d\.\d\d\)", "", measured)
    return found | {n for n in NUMBER.findall(text) if n not in known and len(n) > 1}


@cache
def printed(path):
    """Return the numbers that a chapter's code has or prints."""
    texts = []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            texts += [cell.source, *(o.get("text", "") for o in cell.outputs)]
    return {n for text in texts for n in NUMBER.findall(text)}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_the_numbers_of_a_measure_stand_in_its_chapter(row):
    (label,) = labels(row[3])
    path = NOTEBOOKS / f"{label.split('-')[1]}.ipynb"
    if not path.is_file():
        pytest.skip("no notebooks in _build: run `make book` first")
    assert not strangers(row[2], printed(path))


def test_a_number_without_a_measurement_is_found():
    known = {"12", "220", "0.05"}
    good = "10 seeds, 12 layers, 220 steps: 0 of 10 (interval 0.00 to 0.28)."
    assert strangers(good, known | {"10"}) == set()
    assert strangers(good.replace("220", "221"), known | {"10"}) == {"221"}
    wrong = strangers(good.replace("0.28", "0.20"), known | {"10"})
    assert wrong == {"(interval 0.00 to 0.20)"}
