"""Write the pages that have code as notebooks for Colab and JupyterLab."""

from notebooks.writer import write_notebooks


def setup(app):
    app.connect("build-finished", write_notebooks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
