"""How good, how large: metrics, exact and bootstrapped intervals, paired comparisons, goals, rows for each layer."""
