"""A row leaves the funnel."""


class Dropped(Exception):  # noqa: N818  (no error: most rows of the web are dropped)
    """One row is not kept: `reason` is what the funnel counts, `detail` what holds for this row alone."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
