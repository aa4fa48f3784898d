"""Write every figure of the book as SVG and PDF.

usage: python scripts/figures.py OUT [PAGE ...]

The pages are run once more, so the figures are those of this checkout. Names are
those of the figures in the text.
"""

import base64
import sys
from pathlib import Path

import jupytext
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

from contents import ROOT, chapters

FORMATS = {"image/svg+xml": "svg", "application/pdf": "pdf"}
# After the style of the course, which chooses a format of its own.
BOTH = (
    "from matplotlib_inline.backend_inline import set_matplotlib_formats\n"
    "set_matplotlib_formats('svg', 'pdf')"
)
LICENCE = (
    "Figures of the course on vanishing and exploding gradients, CC BY 4.0\n"
    "https://creativecommons.org/licenses/by/4.0/\n"
)


def with_code():
    """Return the names of the chapters that have code."""
    return [name for name, text in chapters().items() if "{code-cell}" in text]


def write(page, out):
    """Run a page; write its figures; return how many there were."""
    notebook = jupytext.read(ROOT / f"book/{page}.md", fmt="md:myst")
    cells = []
    for cell in notebook.cells:
        if cell.cell_type == "code" and "mystnb" in cell.metadata:
            cells.append(new_code_cell(BOTH))
        cells.append(cell)
    notebook.cells = cells
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    count = 0
    for cell in notebook.cells:
        name = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        for output in cell.get("outputs", []) if name else []:
            for kind, ending in FORMATS.items():
                content = output.get("data", {}).get(kind)
                if content is None:
                    continue
                raw = content.encode() if ending == "svg" else base64.b64decode(content)
                (out / f"{name}.{ending}").write_bytes(raw)
                count += 1
    return count // len(FORMATS)


def main(arguments):
    """Write the figures of the pages that are named, or of all."""
    if not arguments:
        raise SystemExit(__doc__)
    out = Path(arguments[0])
    out.mkdir(parents=True, exist_ok=True)
    (out / "LICENCE.txt").write_text(LICENCE, encoding="utf-8")
    for page in arguments[1:] or with_code():
        print(f"{page}: {write(page, out)} figures", flush=True)
    print(out)


if __name__ == "__main__":
    main(sys.argv[1:])
