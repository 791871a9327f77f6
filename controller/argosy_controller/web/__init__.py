"""What both HTTP applications share: problems (RFC 9457), limits on size and concurrency, files."""
