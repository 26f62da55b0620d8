"""Shards at an address, each copied to this machine whole when it is first read, and the latest kept."""

import shutil
import threading
from collections import OrderedDict, defaultdict
from pathlib import Path

import stamina

from geomammut.errors import UserError
from geomammut.files import content_id, data_folder, whole_file
from geomammut.pairs.remote_files import open_file

_BLOCK = 2**22


class ShardCache:
    """Copies of files below `address`, in the user's data folder; may be asked by many threads.

    Args:
        address: Of the folder, such as `https://example.org/pairs` or `s3://bucket/pairs`.
        most: How many shards are kept; those read longest ago go first.
    """

    def __init__(self, address: str, most: int) -> None:
        self.address = address.rstrip("/")
        self.folder = data_folder() / "shards" / content_id(self.address)
        self._most = most
        self._lock = threading.Lock()
        self._own_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._held: OrderedDict[str, None] = OrderedDict()

    def read(self, shard: str, offset: int, size: int) -> bytes:
        """Return `size` bytes of a shard from `offset` on.

        Raises:
            UserError: The shard cannot be had.
        """
        with self._lock:
            own = self._own_locks[shard]
        path = self.folder / shard
        with own:  # one thread copies it, the others wait
            if not path.exists():
                self._copy(shard, path)
            file = path.open("rb")
        with file:
            self._touch(shard)
            file.seek(offset)
            return file.read(size)

    def _copy(self, shard: str, path: Path) -> None:
        try:
            for attempt in stamina.retry_context(on=(OSError, EOFError), attempts=4):
                with attempt, whole_file(path) as partial, partial.open("wb") as copy:
                    shutil.copyfileobj(open_file(f"{self.address}/{shard}", _BLOCK), copy, _BLOCK)
        except (OSError, EOFError) as error:
            raise UserError(f"{self.address}/{shard} cannot be read ({error}); is the pair set whole?") from error

    def _touch(self, shard: str) -> None:
        with self._lock:
            self._held[shard] = None
            self._held.move_to_end(shard)
            gone = [self._held.popitem(last=False)[0] for _ in range(len(self._held) - self._most)]
        for other in gone:
            (self.folder / other).unlink(missing_ok=True)
