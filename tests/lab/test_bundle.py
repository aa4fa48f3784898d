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
    constants = {*bundle.constants(), "WORKER", "PRESETS"}
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


def test_a_circle_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "FOLDER", tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a/one.js").write_text('import { x } from "./two.js";\n')
    (tmp_path / "a/two.js").write_text('import { y } from "./one.js";\n')
    with pytest.raises(CycleError):
        bundle.modules("a/one")
