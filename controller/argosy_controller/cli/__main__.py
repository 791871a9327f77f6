"""`python -m argosy_controller.cli`, the same as `controller`."""

from argosy_controller.cli import main

main()
