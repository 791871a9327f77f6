"""The pages that operators see: server-rendered, live by a small script, readable without it."""
