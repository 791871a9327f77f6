"""Routes of /api/v1. Each parses, names the role it needs, calls one function of the domain, and returns its answer."""
