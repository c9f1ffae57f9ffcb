"""How much the engine itself costs: measured beside bare loops and peers, in one run, as ratios."""
