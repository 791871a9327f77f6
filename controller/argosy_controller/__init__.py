"""Everything that runs centrally."""
