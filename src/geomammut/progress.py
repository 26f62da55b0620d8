"""Progress of long work, on stderr."""

import os
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Item = TypeVar("Item")

# Of the processes that `torchrun` starts, the first tells for all.
console = Console(stderr=True, quiet=os.environ.get("RANK", "0") != "0")


def progress_bar() -> Progress:
    """Return a bar with count, share, time gone and time left, drawn on stderr."""
    return Progress(
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def track(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Yield `items` while a progress bar counts them; `total` is asked of `len` where it can be."""
    if total is None:
        total = len(items) if isinstance(items, Sized) else None
    with progress_bar() as bar:
        yield from bar.track(items, total=total, description=description)
