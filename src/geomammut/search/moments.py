"""Dates and times as people and files write them (ISO 8601), in UTC."""

from calendar import monthrange
from datetime import UTC, date, datetime, time

from geomammut.errors import UserError


def moment(text: str, *, latest: bool = False) -> datetime | None:
    """Return what a date or time means in UTC, without a zone; None if it cannot be read.

    Args:
        text: Such as 2020-07-01, 2020-07-01T10:20:00Z; a year or a month alone will do. Without a zone it is UTC.
        latest: The last moment that it may mean, not the first.
    """
    stripped = text.strip()
    try:
        if len(stripped) in (4, 7):
            first = date.fromisoformat(f"{stripped}-01-01"[:10])
            month = 12 if len(stripped) == 4 else first.month
            last = first.replace(month=month, day=monthrange(first.year, month)[1])
            stripped = (last if latest else first).isoformat()
        if len(stripped) == 10:
            return datetime.combine(date.fromisoformat(stripped), time.max if latest else time.min)
        found = datetime.fromisoformat(stripped)
    except (ValueError, OverflowError):
        return None
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found


def needed_moment(text: str, what: str, *, latest: bool = False) -> datetime:
    """Return `moment(text)`.

    Raises:
        UserError: It cannot be read; `what` names the option.
    """
    found = moment(text, latest=latest)
    if found is None:
        raise UserError(f"{what} {text!r} is no date; give one such as 2020-07-01 or 2020-07-01T10:20:00Z")
    return found
