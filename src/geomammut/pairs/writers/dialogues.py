"""Many dialogues with a language model, each about one picture, led side by side and ended in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from geomammut.pairs.writers.answer import Question
from geomammut.pairs.writers.asking import Answerer
from geomammut.progress import console


class HasJpeg(Protocol):
    """What a dialogue is about."""

    @property
    def jpeg(self) -> bytes: ...


Item = TypeVar("Item", bound=HasJpeg)
Result = TypeVar("Result")
# Yields questions, is sent their captions (None where no usable answer came), and returns what it came to.
Dialogue = Generator[Question, tuple[str, ...] | None, Result]


def lead(
    items: Iterable[Item],
    dialogue: Callable[[Item], Dialogue[Result]],
    answerer: Answerer,
    *,
    concurrency: int,
    items_a_time: int = 1,
    jpeg_bytes_a_time: int = 0,
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with what its dialogue came to, in order.

    Args:
        items: Drawn as they are needed: at most 2 × `concurrency` groups are held.
        dialogue: Starts the dialogue about an item.
        answerer: Asks the language model.
        concurrency: Groups that are asked for at the same time.
        items_a_time: Items in a group, whose questions go to `answerer` together.
        jpeg_bytes_a_time: Bytes of JPEG after which a group is full, too; 0 for no such limit.
    """

    def talk(group: Sequence[Item]) -> list[Result]:
        return _talk([dialogue(item) for item in group], answerer)

    waiting: deque[tuple[list[Item], Future[list[Result]]]] = deque()
    with ThreadPoolExecutor(concurrency) as pool:
        try:
            for group in _groups(items, items_a_time, jpeg_bytes_a_time):
                waiting.append((group, pool.submit(talk, group)))
                if len(waiting) >= 2 * concurrency:
                    first, results = waiting.popleft()
                    yield from zip(first, results.result(), strict=True)
            while waiting:
                first, results = waiting.popleft()
                yield from zip(first, results.result(), strict=True)
        except BaseException as error:
            answerer.stop(error)
            if isinstance(error, KeyboardInterrupt):
                console.print("stopping when the answers under way are stored, for they are paid for", highlight=False)
            pool.shutdown(wait=True, cancel_futures=True)  # what is under way is paid for: it is stored
            raise


def _groups(items: Iterable[Item], most: int, most_bytes: int) -> Iterator[list[Item]]:
    group: list[Item] = []
    held = 0
    for item in items:
        if group and most_bytes and held + len(item.jpeg) > most_bytes:
            yield group
            group, held = [], 0
        group.append(item)
        held += len(item.jpeg)
        if len(group) == most:
            yield group
            group, held = [], 0
    if group:
        yield group


def _talk(dialogues: Sequence[Dialogue[Result]], answerer: Answerer) -> list[Result]:
    """Lead the dialogues to their ends, asking the open questions of all of them together."""
    ends: dict[int, Result] = {}
    questions = {number: next(dialogue) for number, dialogue in enumerate(dialogues)}
    while questions:
        answers = answerer.answer(list(questions.values()))
        for number, captions in zip(list(questions), answers, strict=True):
            try:
                questions[number] = dialogues[number].send(captions)
            except StopIteration as end:
                ends[number] = end.value
                del questions[number]
    return [ends[number] for number in range(len(dialogues))]
