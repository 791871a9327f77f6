"""For all tests: hypothesis judges laws, not the speed of a machine that does other work too."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("argosy", deadline=None, print_blob=True)
settings.load_profile("argosy")
