"""From a task or a ready file to a bundle: variants that were measured, with cards and golden probes.

`build.run_build` and `importing.run_import` are the front doors. Both do their work in a child process with limits, so
importing them costs nothing heavy and a hostile or broken model cannot take its caller down.

    task, training      what a user writes, and how it is trained
    recipes/            what a recipe says and may say
    sources/            trained models that come as files
    passes/, methods/   what can be asked of a model, and the torch code that does it
    exporters/          the files that a model can become
    search/             candidates, judged on validation data
    numbers/            how good, how large, with intervals; goals
    report, report_page what is written down, and how it is drawn
    caching/            what was computed before
    processes/          child processes and their limits
    files/              model files and their runtimes
    building            compressing, then measuring, then the bundle: the order of it all
"""
