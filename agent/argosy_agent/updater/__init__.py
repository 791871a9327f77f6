"""What a slot does next: a pure state machine (`machine`) over frozen data (`state`), with its laws (`laws`) and its file (`record`)."""
