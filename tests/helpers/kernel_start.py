"""What each notebook's kernel runs first, by `PYTHONSTARTUP` (see tests/conftest.py).

The collector walks through all of TensorFlow again and again while models are traced,
and finds next to nothing: six to ten percent of a chapter's CPU time.
"""

import gc

gc.set_threshold(50_000, 20, 20)
del gc
