"""The serving worker: the process in which models run and the local endpoint answers. The supervisor starts it."""
