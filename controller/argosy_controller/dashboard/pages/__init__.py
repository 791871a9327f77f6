"""One module per page: its data as a frozen dataclass, and the query that makes it. Templates only lay out."""
