"""The command, where it is called as a module."""

import sys

from coursegrade.cli import main

sys.exit(main())
