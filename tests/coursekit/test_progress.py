"""The progress bar is silent where nobody watches."""

import subprocess
import sys

# What tqdm takes for a notebook's kernel, without the package of the widgets.
KERNEL = """
import sys
from types import SimpleNamespace

sys.modules["IPython"] = SimpleNamespace(get_ipython=object)
sys.modules["ipykernel.zmqshell"] = SimpleNamespace()
sys.modules["ipywidgets"] = None
from coursekit._progress import progress

with progress(2) as bar:
    bar.update(2)
"""


def test_silent_in_a_kernel_without_widgets():
    command = [sys.executable, "-c", KERNEL]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout == run.stderr == ""
