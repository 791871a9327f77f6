"""The operators' HTTP application: API under /api/v1, the plain TUF repository for loopback peers, and the dashboard."""
