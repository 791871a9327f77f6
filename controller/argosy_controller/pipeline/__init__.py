"""From a task or a ready file to a bundle: variants that were measured, with cards and golden probes.

`build.run_build` and `importing.run_import` are the front doors. Both do their work in a child process with limits, so
importing them costs nothing heavy and a hostile or broken model cannot take its caller down.
"""
