"""The server that answers for an archive: its API, the page, and what guards them."""
