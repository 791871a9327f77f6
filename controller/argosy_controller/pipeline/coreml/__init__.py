"""Core ML files where there is no Core ML: their packages, the ML program in them, and what that program computes."""
