"""Operators: accounts, API tokens, browser sessions, and the audit log."""
