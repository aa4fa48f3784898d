"""Judge a trace: what is wrong, where, by which evidence, and what to do."""
