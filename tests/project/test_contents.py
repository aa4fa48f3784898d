"""Which pages are chapters."""

import contents


def test_chapters_are_the_numbered_pages(tmp_path):
    toc = "parts:\n- numbered: true\n  chapters: [{file: book/b}, {file: book/a}]\n"
    toc += "- chapters: [{file: book/c}]\n"
    (tmp_path / "_toc.yml").write_text(toc)
    (tmp_path / "book").mkdir()
    for name in "abc":
        (tmp_path / f"book/{name}.md").write_text(f"# {name}\n")
    assert contents.chapters(tmp_path) == {"b": "# b\n", "a": "# a\n"}


def test_the_book_has_chapters():
    assert len(contents.chapters()) > 5
