VERDICTS = ("healthy", "vanishing", "exploding", "dead_units", "no_gradient")
