"""The one script that is made of the lab's modules."""

import re
from graphlib import CycleError

import pytest

from lab import bundle

SCRIPTS = {"worker": bundle.WORKER, "view": bundle.VIEW}


@pytest.mark.parametrize("names", SCRIPTS.values(), ids=SCRIPTS)
def test_names_of_the_modules_differ(names):
    tops = []
    for name in names:
        text = bundle.text_of(name)
        tops += re.findall(r"^(?:export )?(?:const|function|class) (\w+)", text, re.M)
    assert len(tops) > 10
    assert len(tops) == len(set(tops))


def test_each_module_is_in_one_script_behind_those_that_it_imports():
    found = {path.stem for path in bundle.FOLDER.glob("*/*.js")}
    names = [*bundle.WORKER, *bundle.VIEW]
    assert {name.partition("/")[2] for name in names} == found
    assert len(names) == len(set(names)) == len(found)
    for script in SCRIPTS.values():
        for place, name in enumerate(script):
            assert set(bundle.needed(name)) <= set(script[:place])


def test_what_is_imported_is_exported():
    constants = {*bundle.constants(), "WORKER", "PRESETS", "PATIENCE"}
    line = re.compile(r'^import \{ (.+) \} from ".*?(\w+)\.js";$', re.M)
    exported = {"constants": constants}
    for name in (*bundle.WORKER, *bundle.VIEW):
        tops = re.findall(
            r"^export (?:const|function|class) (\w+)", bundle.text_of(name), re.M
        )
        exported[name.partition("/")[2]] = set(tops)
    for name in (*bundle.WORKER, *bundle.VIEW):
        for names, module in line.findall(bundle.text_of(name)):
            assert set(names.split(", ")) <= exported[module], name


def test_a_preset_may_set_show_and_draw_what_there_is():
    assert "stddev" in bundle.keys("DEFAULTS", "view/settings")
    assert "loss" in bundle.keys("CHARTS", "view/lab")


ASKED = {"question": "Why?", "choices": ["a", "b"], "answer": 1, "because": "So."}


@pytest.mark.parametrize(
    "preset, said",
    [
        ({"values": {"stdev": 1}}, "setting 'stdev'; .*stddev"),
        ({"controls": ["rate", "limits"]}, "setting 'limits'"),
        ({"labels": {"layers": "Layers"}}, "setting 'layers'"),
        ({"goal": {"key": "sd", "value": 1}}, "setting 'sd'"),
        ({"charts": ["losses"]}, "chart 'losses'; .*loss"),
        ({"value": {}}, "key 'value'; .*values"),
        (ASKED | {"answer": 2}, "answer 2"),
        (ASKED | {"answer": "b"}, "answer 'b'"),
        ({"question": "Why?", "choices": ["a"]}, "needs 'answer'; it needs 'because'"),
        ({"answer": 1}, "needs 'because'; .*'question'"),
    ],
)
def test_a_preset_with_a_slip_is_refused(preset, said):
    bundle.check({"one": {"title": "T"} | ASKED})
    with pytest.raises(ValueError, match=f"presets.yml, one: .*{said}"):
        bundle.check({"one": {"title": "T"} | preset})


def test_a_circle_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "FOLDER", tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a/one.js").write_text('import { x } from "./two.js";\n')
    (tmp_path / "a/two.js").write_text('import { y } from "./one.js";\n')
    with pytest.raises(CycleError):
        bundle.modules("a/one")
