"""Some of the published compressions with short trainings, in about five minutes: that all of it runs, not how well."""

from __future__ import annotations

from compression import main
from record import leave

if __name__ == "__main__":
    leave(main(["--quick"]))
