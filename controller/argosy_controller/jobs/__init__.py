"""Builds that run on the controller: a queue in the database, a child process each, their files in DATA/builds."""
