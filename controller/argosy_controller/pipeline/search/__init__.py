"""Search: what a recipe leaves open is tried, judged on validation data, and decided by one rule.

`space` reads what is open, `methods` propose points, `candidate` builds and judges one in a worker, `searching` runs the whole,
`journal` remembers, `choosing` decides. A recipe is read without torch: only `candidate` and the gradients import it.
"""
