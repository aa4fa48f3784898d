"""The lab as a reader meets it: guess, move, run, clip, by keyboard, from a link."""

import gzip
import math
import re
from html import escape

import pytest

import browser
import engines
from coursekit import theory
from lab import bundle

#: gzipped bytes of script and style together
WEIGHT = 25_000
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>t</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body {{ margin: 0 16px; font-family: sans-serif }}</style>
<link rel="stylesheet" href="lab.css"><script defer src="lab.js"></script></head>
<body><main><h1>A page</h1>{labs}</main></body></html>"""
LAB = """<section class="lab" data-preset="{name}" data-full="full.html"
aria-labelledby="lab-{name}"><p class="lab-title" id="lab-{name}">{title}</p>
<div class="lab-fallback"><p>The figure of {name}.</p></div></section>"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pages with one lab each, opened from files: the hardest case."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "lab.js").write_text(bundle.script(), encoding="utf-8")
    (folder / "lab.css").write_text(bundle.style(), encoding="utf-8")
    for name, preset in bundle.presets().items():
        lab = LAB.format(name=name, title=escape(preset["title"]))
        path = folder / f"{name}.html"
        path.write_text(PAGE.format(labs=lab), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as started:
        yield started


@pytest.fixture(scope="module")
def contexts(chromium):
    return browser.Contexts(chromium)


@pytest.fixture
def visit(contexts, folder):
    """Open a page; at the end, no error may have been reported."""
    errors = []

    def visit(name, fragment="", **options):
        page = contexts.page(**options)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda m: m.type == "error" and errors.append(m.text))
        page.goto((folder / f"{name}.html").as_uri() + fragment)
        return page

    visit.errors = errors
    yield visit
    contexts.leave()
    assert not errors


def step(page):
    return int(page.locator(".lab").get_attribute("data-step") or -1)


def wait_for_step(page, least):
    page.wait_for_function(
        "(n) => Number(document.querySelector('.lab').dataset.step ?? -1) >= n",
        arg=least,
    )


def slide(page, label, position):
    page.get_by_label(label).evaluate(
        """(input, position) => {
            input.value = position;
            input.dispatchEvent(new Event('input', { bubbles: true }));
        }""",
        position,
    )


def first_bar(page):
    bar = page.locator(".lab-chart-gradient .lab-bar").first
    return float(bar.get_attribute("height"))


def test_weight():
    sizes = [bundle.script(), bundle.style()]
    assert sum(len(gzip.compress(text.encode())) for text in sizes) <= WEIGHT


def test_predict_then_reveal(visit):
    page = visit("vanishing")
    assert page.get_by_role("radio").count() == 3
    assert not page.get_by_label("Standard deviation").is_visible()
    assert page.locator("svg").count() == 0
    page.get_by_role("button", name="Show me").click()
    assert page.locator("svg").count() == 0, "a guess comes first"
    page.get_by_label("near 0.5").check()
    page.get_by_role("button", name="Show me").click()
    wait_for_step(page, 0)
    assert page.locator(".lab-answer").inner_text().startswith("No: near 0.16.")
    assert page.get_by_label("Standard deviation").is_visible()
    assert "Before training: vanishing." in page.locator(".lab-verdict").inner_text()


def test_a_right_guess(visit):
    page = visit("exploding")
    page.get_by_label("more than 1000 times").check()
    page.get_by_role("button", name="Show me").click()
    assert page.locator(".lab-answer").inner_text().startswith("Yes.")


def test_the_slider_tips_the_line(visit):
    page = visit("full", "#lab?activation=relu&stddev=0.06")
    wait_for_step(page, 0)
    verdict = page.locator(".lab-verdict")
    assert "Before training: vanishing." in verdict.inner_text()
    slide(page, "Standard deviation", -0.3)
    page.wait_for_function(
        "document.querySelector('.lab-verdict').textContent"
        ".startsWith('Before training: exploding.')"
    )
    assert "without bound" not in verdict.inner_text(), "no step was taken"
    assert page.locator(".lab-chart-gradient .lab-theory").count() == 1


def test_axes_write_numbers_as_the_figures_do(visit):
    page = visit("full", "#lab?activation=tanh&stddev=0.125")
    wait_for_step(page, 0)
    ticks = page.locator(".lab-chart-gradient text").all_text_contents()
    assert {"1", "0.1", "0.01"} <= set(ticks)
    slide(page, "Standard deviation", -1.3)
    page.wait_for_function(
        "document.querySelector('.lab-verdict').textContent.includes('vanishing')"
    )
    ticks = page.locator(".lab-chart-gradient text").all_text_contents()
    assert {"1", "10-7"} <= set(ticks) and not {"100", "0.1", "0.01"} & set(ticks)


SIZE = "Size of the starting weights"


def test_the_first_page_s_lab_has_a_goal_and_says_when_it_is_reached(visit):
    page = visit("landing")
    wait_for_step(page, 0)
    verdict = page.locator(".lab-verdict")
    assert verdict.inner_text() == (
        "Layer 1 gets a signal a billion times smaller than layer 20. It vanishes."
    )
    slider, mark = page.get_by_label(SIZE), page.locator(".lab-goal")
    track, at = slider.bounding_box(), mark.bounding_box()
    goal = bundle.presets()["landing"]["goal"]["value"]
    # the knob stands over the mark when it is there
    share = (math.log10(goal) + 2.5) / 3
    place = track["x"] + 8 + share * (track["width"] - 16)
    assert at["x"] + at["width"] / 2 == pytest.approx(place, abs=2)
    assert str(goal) in mark.inner_text()
    assert goal == pytest.approx(theory.critical_gain("relu") / 8, abs=5e-4)
    seen = {}
    for value in ("0.1", "0.17", "0.18", "0.25", "0.4"):
        verdict_before = verdict.inner_text()
        slide(page, SIZE, math.log10(float(value)))
        page.wait_for_function(
            "(last) => document.querySelector('.lab-verdict').textContent !== last",
            arg=verdict_before,
        )
        assert page.locator("[data-key=stddev] output").inner_text() == value
        seen[value] = verdict.inner_text()
    assert "vanishes" in seen["0.1"] and seen["0.17"].startswith("Nearly level")
    assert seen["0.18"].startswith("Level: ") and "critical value" in seen["0.18"]
    assert "explodes" in seen["0.4"] and "critical" not in seen["0.25"]
    # one question: nothing to run, and no answer to a later one
    assert page.get_by_role("button").count() == 0
    assert page.locator(".lab-dot").count() == 0
    assert page.locator(".lab-level").count() == 1


@pytest.fixture(scope="module")
def arrival(chromium):
    """Return what the first page's lab says of deltas, for each depth of row."""
    page = chromium.new_page()
    source = bundle.joined(["view/goal"], {}, "return arrival;")

    def arrival(deltas, value=0.1):
        return page.evaluate(
            f"""([deltas, value]) => {{
                const arrival = {source.rstrip().rstrip(";")};
                const numbers = deltas.map(Number);
                return arrival(numbers, value, {{ value: 0.177, reached: "There." }});
            }}""",
            [list(map(str, deltas)), value],
        )

    return arrival


@pytest.mark.parametrize(
    ("deltas", "said"),
    [
        ([0.1, 0.9], "Nearly level: the signal arrives."),
        (
            [0.09, 1],
            "Layer 1 gets a signal 10 times smaller than layer 2. It vanishes.",
        ),
        ([0, 1], "Layer 1 gets nothing at all: "),
        (["Infinity", 1], "Layer 1 gets a number that the computer cannot hold. "),
        (["NaN", 1], "Layer 1 gets a number that the computer cannot hold. "),
        ([3e3, 1, 1], "Layer 1 gets a signal 3 thousand times larger than layer 3."),
        ([1e-30, 1], "Layer 1 gets a signal more than a thousand trillion times "),
        ([0, 0], "Layer 1 gets nothing at all: "),
        ([1, 0], "Layer 1 gets a signal "),
    ],
)
def test_what_arrives_in_words(arrival, deltas, said):
    assert arrival(deltas).startswith(said)


def test_at_the_goal_the_line_must_be_level_too(arrival):
    assert arrival([1, 1], 0.177).endswith("There.")
    assert "There." not in arrival([1e-5, 1], 0.177) + arrival([1, 1], 0.15)


def test_a_lab_before_the_question_of_kernels_does_not_show_them(visit):
    page = visit("vanishing")
    page.get_by_role("radio").first.check()
    page.get_by_role("button", name="Show me").click()
    wait_for_step(page, 0)
    assert page.locator(".lab-dot").count() == 0
    assert "ernel gradient" not in page.locator("figcaption").first.inner_text()


KEYED = """
const input = document.querySelector("[data-key=stddev] input");
return [input.value, document.querySelector("[data-key=stddev] output").textContent];
"""


@pytest.mark.parametrize("name", engines.ENGINES)
def test_arrow_keys_reach_every_round_value_in_every_engine(folder, name):
    with engines.ENGINES[name]() as engine:
        engine.size(900, 900)
        engine.goto((folder / "landing.html").as_uri())
        engine.evaluate("document.querySelector('[data-key=stddev] input').focus()")
        seen = [engine.evaluate(KEYED)[1]]
        for key in ["ArrowRight"] * 16 + ["ArrowLeft"] * 2:
            engine.press(key)
            seen.append(engine.evaluate(KEYED)[1])
    assert " ".join(seen) == (
        "0.06 0.063 0.066 0.07 0.072 0.076 0.08 0.083 0.087 0.09 0.095 0.1 0.105 "
        "0.11 0.115 0.12 0.125 0.12 0.115"
    )


def test_no_two_steps_of_a_slider_are_alike(visit):
    """Nor does a step go back, and each brings its own value when it is set."""
    page = visit("full", "#lab?clip=norm&skip=true")
    wait_for_step(page, 0)
    for key in ("stddev", "rate", "limit", "scale", "depth", "width"):
        values = page.locator(f"[data-key={key}] input").evaluate(
            """(input) => {
                const output = input.previousElementSibling, found = [];
                input.value = input.min;
                for (;;) {
                    input.dispatchEvent(new Event("input", { bubbles: true }));
                    found.push(Number(output.textContent));
                    const before = input.value;
                    input.stepUp();
                    if (input.value === before) return found;
                }
            }"""
        )
        assert len(values) > 7 and values == sorted(set(values)), key


def test_the_line_of_theory_only_before_training(visit):
    page = visit("full")
    wait_for_step(page, 0)
    assert page.locator(".lab-chart-gradient .lab-theory").count() == 1
    page.get_by_role("button", name="One step").click()
    wait_for_step(page, 1)
    # no theory is what guessing reaches: it has not that colour
    assert page.locator(".lab-theory").count() == 0
    assert page.locator(".lab-chart-loss .lab-guess").count() == 1


@pytest.fixture(scope="module")
def speech(chromium):
    """Return what the lab says to a row of (text, step, running, milliseconds)."""
    page = chromium.new_page()
    values = {"PATIENCE": bundle.constants()["RULES"]["PATIENCE"]}
    source = bundle.joined(["view/verdict"], values, "return Verdict;")

    def speech(rows):
        return page.evaluate(
            f"""(rows) => {{
                const verdict = new ({source.rstrip().rstrip(";")})();
                const report = (text) => ({{ verdict: "no_gradient", text }});
                return rows.map(([text, step, running, now]) =>
                    verdict.say({{ report: report(text), step, running }}, now));
            }}""",
            rows,
        )

    return speech


def test_another_answer_is_told_when_it_has_lasted(speech):
    rows = [["A: word. Why 1.", 0, False, 0]]
    rows += [[f"{'BC'[n % 2]} {n}.", 10 * n, True, 100 * n] for n in range(1, 40)]
    rows += [[f"D {n} %.", 400 + 10 * n, True, 4000 + 100 * n] for n in range(20)]
    rows += [["E.", 600, True, 6000], ["E.", 601, False, 6001]]
    said = speech(rows)
    changes = [n for n in range(1, len(said)) if said[n] != said[n - 1]]
    assert said[0] == "Before training: no gradient. Why 1."
    # D lasts for a second, and then its number is kept up
    assert said[49] == said[0] and said[50] == "D 10 %." and said[59] == "D 19 %."
    assert changes[0] == 50 and said[60] == "D 19 %."
    assert said[61] == "E.", "who pauses sees the report"


def test_a_fast_run_and_a_slow_one_wait_as_well(speech):
    fast = [["A. b.", 0, False, 0]] + [["B.", 100 * n, True, 90 * n] for n in (1, 2, 3)]
    slow = [["A. b.", 0, False, 0]] + [["B.", n, True, 2000 * n] for n in (1, 2, 30)]
    for rows in (fast, slow):
        said = speech(rows)
        assert set(said) == {said[0]}


@pytest.mark.parametrize("name", ["initializers", "batchnorm"])
def test_the_verdict_does_not_flicker(visit, name):
    """Of the answers of the rules, 17 in 970 steps before, few are told."""
    page = visit(name)
    page.get_by_role("radio").first.check()
    page.get_by_role("button", name="Show me").click()
    wait_for_step(page, 0)
    page.evaluate(
        """() => {
            globalThis.told = [];
            const place = document.querySelector(".lab-verdict");
            new MutationObserver(() => {
                const text = place.textContent.replace(/\\d[\\d.e-]*/g, "#");
                if (text !== told.at(-1)) told.push(text);
            }).observe(place, { childList: true });
        }"""
    )
    page.get_by_role("button", name="Run").click()
    wait_for_step(page, 600)
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Run").wait_for()
    told = page.evaluate("told")
    assert len(told) <= 5, told
    assert page.locator(".lab-numbers").inner_text().endswith("ms a step.")


def test_never_starts_by_itself(visit):
    page = visit("full")
    wait_for_step(page, 0)
    page.wait_for_timeout(500)
    assert step(page) == 0


def test_clipping_in_the_middle_of_a_run(visit):
    page = visit("full", "#lab?rate=0.001&clip=none")
    page.get_by_role("button", name="Run").click()
    wait_for_step(page, 20)
    page.get_by_label("Clipping").select_option("global")
    page.get_by_label("Clip at").wait_for()
    slide(page, "Learning rate", -2)
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Run").wait_for()
    assert step(page) >= 20, "neither change may start the run anew"
    page.get_by_label("Seed").press("ArrowRight")
    page.wait_for_function("document.querySelector('.lab').dataset.step === '0'")
    ghost = page.locator(".lab-ghost").get_attribute("points")
    assert len(ghost.split()) >= 20, "the last run stays as a ghost"


def test_pauses_when_hidden(visit):
    page = visit("full")
    page.get_by_role("button", name="Run").click()
    wait_for_step(page, 5)
    page.evaluate(
        """() => {
            Object.defineProperty(document, 'hidden', { value: true });
            document.dispatchEvent(new Event('visibilitychange'));
        }"""
    )
    page.get_by_role("button", name="Run").wait_for()


def test_by_keyboard_alone(visit):
    page = visit("vanishing")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_for_step(page, 0)
    focus = "document.activeElement.className"
    assert page.evaluate(focus) == "lab-answer"
    seen = []
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                """() => {
                    const at = document.activeElement;
                    const name = at.labels?.[0]?.textContent ?? at.textContent;
                    return [name, getComputedStyle(at).outlineStyle];
                }"""
            )
        )
        if seen[-1][0] == "One step":
            page.keyboard.press("Enter")
        if seen[-1][0] == "The numbers":
            page.keyboard.press("Enter")
    names = [name for name, _ in seen]
    for name in ("Hidden layers", "Activation", "Standard deviation", "Run"):
        assert name in names
    assert all(outline != "none" for _, outline in seen[:8])
    wait_for_step(page, 1)
    assert page.locator("tbody tr").count() == 21


def test_a_screen_reader_hears_the_verdict(visit):
    page = visit("full", "#lab?stddev=0.06")
    wait_for_step(page, 0)
    spoken = page.locator(".lab-spoken[role=status]")
    page.wait_for_function(
        "document.querySelector('.lab-spoken').textContent.includes('vanishing')"
    )
    assert spoken.inner_text().startswith("Step 0.")
    label = page.locator(".lab-chart-gradient svg").get_attribute("aria-label")
    assert "in layer 1" in label and "in layer 20" in label
    slide(page, "Standard deviation", -1)
    text = page.get_by_label("Standard deviation").get_attribute("aria-valuetext")
    assert text == "0.1"


def test_a_link_restores_the_setting(visit):
    page = visit("full")
    page.get_by_label("Activation", exact=True).select_option("relu")
    page.get_by_label("Skip connections").check()
    slide(page, "Standard deviation", -1)
    href = page.get_by_role("link").get_attribute("href")
    again = visit("full", href)
    assert again.get_by_label("Activation", exact=True).input_value() == "relu"
    assert again.get_by_label("Skip connections").is_checked()
    output = again.locator("[data-key=stddev] output")
    assert output.inner_text() == "0.1"


@pytest.mark.parametrize(
    "setting",
    [
        *("activation=constructor", "batchnorm=toString", "initializer=valueOf"),
        *("data=constructor", "depth=20.0000005"),
    ],
)
def test_what_no_setting_has_is_left_out_of_a_link(visit, setting):
    """Among them what every object of the language has."""
    verdicts = []
    for fragment in ("", f"#lab?{setting}"):
        page = visit("full", fragment)
        wait_for_step(page, 0)
        verdicts.append(page.locator(".lab-verdict").inner_text())
    assert verdicts[0] == verdicts[1]


def test_the_link_to_a_setting_leaves_its_run_alone(visit):
    page = visit("full")
    wait_for_step(page, 0)
    page.get_by_role("button", name="Run").click()
    wait_for_step(page, 20)
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("link").click()
    page.wait_for_function("location.hash.startsWith('#lab')")
    page.wait_for_timeout(100)
    assert step(page) >= 20


def test_another_link_takes_the_place_of_a_question(visit):
    page = visit("full", "#lab?depth=7")
    wait_for_step(page, 0)
    experiment = page.get_by_label("Experiment")
    experiment.select_option(index=1)
    page.get_by_role("radio").first.wait_for()
    # who goes through the list by arrow keys is not taken out of it
    assert page.evaluate("document.activeElement.type") != "radio"
    page.evaluate("location.hash = 'lab?depth=5'")
    page.get_by_role("radio").first.wait_for(state="detached")
    assert experiment.input_value() == ""
    assert page.locator("[data-key=depth] output").inner_text() == "5"


def test_own_settings_are_drawn_when_a_question_is_left(visit):
    page = visit("full")
    wait_for_step(page, 0)
    experiment = page.get_by_label("Experiment")
    experiment.select_option(index=1)
    page.get_by_role("radio").first.wait_for()
    experiment.select_option("")
    depth = page.locator("[data-key=depth] output").inner_text()
    page.get_by_text("The numbers", exact=True).click()
    page.wait_for_function(
        "(n) => document.querySelectorAll('.lab-scroll tbody tr').length == n",
        arg=int(depth) + 1,
    )


def test_a_preset_sets_what_a_reader_can_set(chromium):
    """Another value, such as a name with a slip, would be left out of a link."""
    names = "{toFragment, fromFragment, DEFAULTS}"
    source = bundle.joined(["view/settings"], {}, f"return {names};")
    values = {name: one.get("values", {}) for name, one in bundle.presets().items()}
    page = chromium.new_page()
    wanted, found = page.evaluate(
        f"""(presets) => {{
            const {names} = {source}
            const all = presets.map((values) => ({{ ...DEFAULTS, ...values }}));
            const read = (one) => ({{ ...DEFAULTS, ...fromFragment(toFragment(one)) }});
            return [all, all.map(read)];
        }}""",
        list(values.values()),
    )
    page.close()
    for name, one, read in zip(values, wanted, found, strict=True):
        assert read == one, name


def test_a_wrong_link_does_no_harm(visit):
    link = "#lab?depth=9999&width=7&activation=<b>&stddev=x&seed=3&skip=maybe"
    page = visit("full", link)
    wait_for_step(page, 0)
    assert page.locator("[data-key=depth] output").inner_text() == "20"
    assert page.locator("[data-key=width] output").inner_text() == "64"
    assert page.locator("[data-key=seed] output").inner_text() == "3"


def test_a_preset_links_to_the_full_lab(visit):
    page = visit("landing")
    href = page.get_by_role("link").get_attribute("href")
    assert href == "full.html#lab?activation=relu&stddev=0.06"


def test_the_keras_code_builds_the_network(visit):
    import keras

    link = "#lab?skip=true&scale=0.5&batchnorm=true&clip=global&depth=4&rate=0.01"
    page = visit("full", link)
    code = page.locator("pre").text_content()
    found = {}
    exec(code, found)
    model = found["model"]
    # operations, not layers: a sum is no layer
    kinds = [type(operation).__name__ for operation in model.operations]
    assert kinds.count("Dense") == 5 and kinds.count("BatchNormalization") == 4
    assert kinds.count("Add") == 3
    assert model.optimizer.global_clipnorm == 1
    assert model.optimizer.get_config()["learning_rate"] == pytest.approx(0.01)
    kernels = [w.numpy() for w in model.weights if w.path.endswith("kernel")]
    assert kernels[1].std() == pytest.approx(0.125, rel=0.05)
    assert abs(kernels[1] - kernels[2]).max() > 0, "each layer draws its own"
    assert isinstance(model.loss, keras.losses.SparseCategoricalCrossentropy)


@pytest.mark.parametrize("name", list(bundle.presets()))
def test_on_a_phone(visit, name):
    page = visit(name, viewport={"width": 360, "height": 800}, has_touch=True)
    if bundle.presets()[name].get("question"):
        page.get_by_role("radio").first.check()
        page.get_by_role("button", name="Show me").click()
    wait_for_step(page, 0)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    small = page.evaluate(
        """() => [...document.querySelectorAll('input, select, button, summary, a')]
            .map((e) => [e.id || e.textContent, e.getBoundingClientRect()])
            .filter(([, box]) => box.height > 0 && (box.height < 24 || box.width < 24))
            .map(([name]) => name)"""
    )
    assert small == []


def test_the_chart_stays_in_sight_on_a_phone(visit):
    page = visit("full", viewport={"width": 360, "height": 800}, has_touch=True)
    wait_for_step(page, 0)
    chart = page.locator(".lab-chart-gradient")
    for name in ("Experiment", "Hidden layers", "Learning rate", "Seed"):
        control = page.get_by_label(name, exact=True)
        control.focus()
        box, place = chart.bounding_box(), control.bounding_box()
        assert 0 <= box["y"] and box["y"] + box["height"] <= place["y"], name
        assert place["y"] + place["height"] <= 800, name


def test_answer_and_chart_are_seen_together_on_a_phone(visit):
    page = visit("full", viewport={"width": 360, "height": 800}, has_touch=True)
    page.get_by_label("Experiment").select_option(index=2)
    page.get_by_role("radio").first.check()
    page.get_by_role("button", name="Show me").click()
    wait_for_step(page, 0)
    chart = page.locator(".lab-chart-gradient").bounding_box()
    answer = page.locator(".lab-answer").bounding_box()
    assert 0 <= chart["y"] and chart["y"] + chart["height"] <= answer["y"]
    assert answer["y"] + answer["height"] <= 800


def test_without_javascript_the_figure_stands(visit):
    page = visit("vanishing", java_script_enabled=False)
    assert page.get_by_text("The figure of vanishing.").is_visible()
    assert page.locator("button").count() == 0


def test_in_print_the_figure_stands(visit):
    page = visit("landing")
    wait_for_step(page, 0)
    assert not page.get_by_text("The figure of landing.").is_visible()
    page.emulate_media(media="print")
    assert page.get_by_text("The figure of landing.").is_visible()
    assert not page.get_by_label(SIZE).is_visible()
    # paper is not asked to move
    assert not page.get_by_text("Make the line level").is_visible()


def test_reduced_motion_draws_less_often(visit):
    page = visit("full", reduced_motion="reduce")
    wait_for_step(page, 0)
    page.evaluate(
        """() => {
            globalThis.drawn = [];
            const box = document.querySelector('.lab-chart-loss');
            const buttons = [...document.querySelectorAll('.lab button')];
            // the end of a run is drawn at once
            const running = () => buttons.some((one) => one.textContent === 'Pause');
            new MutationObserver(() => running() && drawn.push(performance.now()))
                .observe(box, { childList: true });
        }"""
    )
    page.get_by_role("button", name="Run").click()
    page.wait_for_timeout(2500)
    drawn = page.evaluate("globalThis.drawn")
    page.get_by_role("button", name=re.compile("Pause|Run")).click()
    # by the page's own clock, once a second: a busy machine waits longer than asked
    gaps = [later - earlier for earlier, later in zip(drawn, drawn[1:], strict=False)]
    assert gaps and min(gaps) > 500


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["full", "vanishing"])
def test_accessible(visit, name, theme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = visit(name)
    page.evaluate("(theme) => (document.documentElement.dataset.theme = theme)", theme)
    if theme == "dark":
        page.add_style_tag(
            content="html { background: #121212; color: #ced6dd;"
            "--pst-color-background: #121212; --pst-color-text-base: #ced6dd;"
            "--pst-color-text-muted: #9ca4af; --measured: #5cb3ee; --theory: #f0a030; }"
            "a { color: #8fb8f0; }"
        )
    if name == "vanishing":
        page.get_by_role("radio").first.check()
        page.get_by_role("button", name="Show me").click()
    wait_for_step(page, 0)
    for summary in page.locator("summary").all():
        summary.click()
    found = axe.Axe().run(page)
    # axe asks for the style sheet, which a page from a file must not read
    visit.errors.clear()
    broken = [v["id"] for v in found.response["violations"]]
    assert broken == [], found.generate_report()
