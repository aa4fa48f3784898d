"""The command, where it is called as a module."""

import sys

if not sys.flags.safe_path:
    # The current folder, with what was handed in: nothing is imported from there.
    del sys.path[0]

from coursegrade.cli import main  # noqa: E402

sys.exit(main())
