"""The TUF repository and its keys: who may sign what, and what is signed."""
