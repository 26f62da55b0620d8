"""The exception that a user is meant to read, and what else of the machine's errors a user can mend."""

import errno
import re
from collections.abc import Iterator

_PATH_ERRORS = (FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_SPACE_TEXT = re.compile(r"no space left|quota exceeded|os error (27|28|122)\b", re.IGNORECASE)
# GDAL, PyTorch and Daft do not pass on why the system refused a write.
_WRITE_FAILED_TEXT = re.compile(
    r"write failed|write error|error writing|cannot write feature|failed to commit transaction"
    r"|inline_container|iostream error|ParquetError channel closed",
    re.IGNORECASE,
)


class UserError(Exception):
    """A mistake in what the user gave, told in one line: what is wrong, where, and what to do.

    The command line prints the message without a traceback and exits with code 2.
    """


def explain(error: BaseException, out: str) -> str | None:
    """Say in a line what the user can mend, or return None where the error is ours.

    Args:
        error: Any exception; those it came from are asked, too.
        out: Where the output was to go, for the message of a full disk.
    """
    for link in _chain(error):
        if isinstance(link, UserError):
            return str(link)
        if getattr(link, "errno", None) in _NO_SPACE or _NO_SPACE_TEXT.search(str(link)):
            return f"no space left to write {out} ({link}); free some, or give another --out"
    for link in _chain(error):
        if not isinstance(link, OSError) and _WRITE_FAILED_TEXT.search(str(link)):
            return f"could not write {out} ({link}); is there space left? --debug tells more"
    if isinstance(error, _PATH_ERRORS):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and those that it came from."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
