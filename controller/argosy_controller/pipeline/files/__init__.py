"""Model files: which kind, in which runtime they run, what they are asked to prove themselves."""
