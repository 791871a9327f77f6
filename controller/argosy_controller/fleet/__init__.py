"""What the devices are, what they should hold, and what they say of themselves."""
