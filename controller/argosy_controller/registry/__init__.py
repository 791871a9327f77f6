"""Models, versions, variants and their files."""
