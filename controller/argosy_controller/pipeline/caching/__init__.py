"""What was computed before, known by everything that decides about its bytes."""
