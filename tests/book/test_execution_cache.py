"""Pages run again when what they import has changed."""

from pathlib import Path
from types import SimpleNamespace

from jupyter_cache import get_cache
from myst_nb.core.config import NbParserConfig
from myst_parser.config.main import MdParserConfig

import execution_cache

ROOT = Path(__file__).parents[2]


def test_cache_key(tmp_path):
    package = tmp_path / "src/coursekit"
    package.mkdir(parents=True)
    module = package / "module.py"
    module.write_text("x = 1\n")
    before = execution_cache.cache_key(tmp_path)
    assert before == execution_cache.cache_key(tmp_path) and len(before) == 16
    module.write_text("x = 2\n")
    changed = execution_cache.cache_key(tmp_path)
    (tmp_path / "requirements.txt").write_text("numpy==2\n")
    latest = execution_cache.cache_key(tmp_path)
    assert len({before, changed, latest}) == 3
    # no page imports the grader
    grader = tmp_path / "src/coursegrade"
    grader.mkdir(parents=True)
    (grader / "module.py").write_text("x = 3\n")
    assert execution_cache.cache_key(tmp_path) == latest


def test_no_page_uses_the_grader():
    # Or a change of it would have to run the pages again.
    for page in (ROOT / "book").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        assert "coursekit.grading" not in text and "coursegrade" not in text


def test_old_caches_go(tmp_path):
    for name in "abcd":
        (tmp_path / name).mkdir()
    execution_cache.prune(tmp_path, "a")
    left = {path.name for path in tmp_path.iterdir()}
    assert "a" in left and len(left) == 3


def test_notebooks_are_executed_ahead(tmp_path):
    head = "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n"
    pages = {"one": "print(6 * 7)", "two": "1 / 0", "three": "print(6 * 9)"}
    pages["four"] = "import os\nos._exit(1)"
    for name, code in pages.items():
        text = f"{head}# {name}\n\n```{{code-cell}}\n{code}\n```\n"
        (tmp_path / f"{name}.md").write_text(text)
    (tmp_path / "plain.md").write_text("# No notebook\n")
    config = NbParserConfig(
        execution_mode="cache", execution_cache_path=str(tmp_path / "cache")
    )
    env = SimpleNamespace(
        doc2path=lambda name: str(tmp_path / f"{name}.md"),
        myst_config=MdParserConfig(),
        mystnb_config=config,
    )
    names = [*pages, "plain"]
    app = SimpleNamespace(verbosity=0)
    cache = get_cache(config.execution_cache_path)
    execution_cache.execute_ahead(app, env, names)
    left = execution_cache.unknown_notebooks(env, names, cache)
    assert [Path(path).stem for path in left] == ["two", "four"]
    outputs = [
        cache.get_cache_bundle(record.pk).nb.cells[-1].outputs[0].text
        for record in cache.list_cache_records()
    ]
    assert sorted(outputs) == ["42\n", "54\n"]
