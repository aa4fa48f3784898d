"""The trusted side of one submission: its notebook, its tests, its rows."""
