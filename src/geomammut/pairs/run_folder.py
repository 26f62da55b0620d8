"""What a long run has finished: a hidden folder beside its output, so that a killed run goes on where it stood."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from geomammut.errors import UserError
from geomammut.files import content_id, write_json
from geomammut.progress import console

_WHAT = "run.json"


class RunFolder:
    """The finished steps of the run that makes `out`, each a file or folder that appeared when it was whole.

    Args:
        out: What the run makes in the end.
        what: Everything that the result depends on, as JSON. Steps of another run, with other inputs or
            options, are removed.
    """

    def __init__(self, out: Path, what: Mapping[str, Any]) -> None:
        self.path = out.with_name(f".{out.name}.pairing.partial")
        key = content_id(json.dumps(what, sort_keys=True, default=str))
        try:
            known = json.loads((self.path / _WHAT).read_text(encoding="utf-8"))["key"]
        except (OSError, ValueError, KeyError, TypeError):
            known = None
        if known == key:
            console.print(f"note: going on with the run in {self.path}", markup=False, highlight=False)
            return
        if out.exists() and not out.is_dir():
            raise UserError(f"{out} is a file; give another --out")
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)
        write_json(self.path / _WHAT, {"key": key, **what})

    def has(self, step: str) -> bool:
        return (self.path / step).exists()

    @contextmanager
    def finish(self, step: str) -> Iterator[Path]:
        """Yield a path that does not exist; what the block makes there becomes `step` if the block succeeds."""
        final = self.path / step
        partial = final.with_name(f".{final.name}.{os.getpid()}")
        partial.parent.mkdir(parents=True, exist_ok=True)
        if partial.is_dir():  # of a run that was stopped; in a container, the next one often has the same number
            shutil.rmtree(partial)
        partial.unlink(missing_ok=True)
        yield partial
        partial.replace(final)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def file_state(path: str | Path) -> dict[str, Any]:
    """Return what tells whether a file changed: its path, size and time; of an address, the address."""
    local = Path(path)
    if not local.exists():
        return {"path": str(path)}
    stat = local.stat()
    return {"path": str(local.resolve()), "bytes": stat.st_size, "changed_ns": stat.st_mtime_ns}
