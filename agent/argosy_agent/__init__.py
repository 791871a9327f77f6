"""Everything that runs on a device."""
