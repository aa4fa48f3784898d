"""Where strangers' code runs: it knows no master, no task and no secret."""
