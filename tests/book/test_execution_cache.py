"""Pages run again when what they import has changed."""

from pathlib import Path

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
