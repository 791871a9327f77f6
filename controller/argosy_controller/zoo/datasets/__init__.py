"""Real data for the zoo's tasks: files that a setting names, or what comes with scikit-learn and Python."""
