"""Rollouts: who gets a version next, and why."""
