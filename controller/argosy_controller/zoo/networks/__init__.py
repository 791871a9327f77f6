"""The zoo's larger networks, small enough to read at once; each names the paper that it follows."""
