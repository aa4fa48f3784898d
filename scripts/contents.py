"""Which pages are chapters: the numbered ones of _toc.yml, in their order."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def chapters(root: Path = ROOT) -> dict[str, str]:
    """Return the text of each chapter by its name."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    files = [
        chapter["file"]
        for part in toc["parts"]
        if part.get("numbered")
        for chapter in part["chapters"]
    ]
    return {
        Path(file).name: (root / f"{file}.md").read_text(encoding="utf-8")
        for file in files
    }
