"""What a grading process is started with: its variables, and what it imports once."""

import gc
import importlib
import os
import site
from pathlib import Path

import coursegrade
import coursekit

#: Where Python finds both packages.
PACKAGES = tuple(Path(one.__file__).parent for one in (coursegrade, coursekit))
_VARIABLES = {
    "PYTHONPATH": os.pathsep.join(sorted({str(one.parent) for one in PACKAGES})),
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "KERAS_BACKEND": "tensorflow",
    "MPLBACKEND": "agg",
    # Marks hang on no GPU, and no two rooms share its memory.
    "CUDA_VISIBLE_DEVICES": "",
    # One thread each: the work is spread over submissions, not inside of them.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}
# In the sandbox, nothing of the grader's own variables is seen.
_INSIDE = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "MPLCONFIGDIR": "/tmp/matplotlib",
    "IPYTHONDIR": "/tmp/ipython",
    "PYTHONDONTWRITEBYTECODE": "1",
    # A notebook that is graded does not check itself.
    "COURSEKIT_CHECK": "1",
}


def environment(inside):
    """Return the variables of a process inside the sandbox, or of one of ours."""
    # there, too, what `pip install --user` has installed is found
    known = {**_INSIDE, "PYTHONUSERBASE": site.getuserbase()} if inside else os.environ
    return {**known, **_VARIABLES}


def preload(*modules):
    """Import modules, and all that notebooks take from the course's package.

    The collector rests meanwhile, since what is imported stays: it took a fifth of the
    time.
    """
    gc.disable()
    try:
        for name in modules:
            importlib.import_module(name)
        for name in coursekit.__all__:
            getattr(coursekit, name)
    finally:
        gc.enable()
