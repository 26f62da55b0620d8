"""The stages of `pairs web` as Daft programs, in this process or on Ray: each only adds columns to its rows."""

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING, Any, Protocol

import daft
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from daft import DataType, col
from numpy.typing import NDArray
from PIL import Image

from geomammut.files import content_id
from geomammut.pairs.known_pictures import Embedder
from geomammut.pairs.run_folder import file_state
from geomammut.pairs.web_stages.alt_text import clean_alt_text, language_of
from geomammut.pairs.web_stages.dropped import Dropped
from geomammut.pairs.web_stages.embeddings import packed
from geomammut.pairs.web_stages.fetch import Fetcher
from geomammut.pairs.web_stages.fetched import Answer, FetchedStore
from geomammut.pairs.web_stages.image import read_image
from geomammut.pairs.web_stages.inputs import read_input_image

if TYPE_CHECKING:
    from torch import Tensor

DECODERS = 4  # images decoded at a time, in each process: each may take 200 MB

_LEFT = [("stage", pa.string()), ("reason", pa.string()), ("detail", pa.string())]
_CLEANED = pa.struct([("caption", pa.string()), ("language", pa.string()), *_LEFT])
_LOOKED = pa.struct(
    [
        *_LEFT,
        ("jpeg", pa.large_binary()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("original_pixels", pa.int64()),
        ("fingerprint", pa.binary()),
        ("id", pa.string()),
    ]
)
_JUDGED = pa.struct([("aerial_probability", pa.float64()), ("embedding", pa.binary()), *_LEFT])


def _type(struct: pa.StructType) -> DataType:
    return DataType.from_arrow_type(struct)


def cleaned(rows: daft.DataFrame) -> daft.DataFrame:
    """Add, to rows that went through the text stage (`reason`: null where kept), what the alt-text stage says.

    Args:
        rows: Those of `read_sources`, with the text stage's `keyword`, `text_score` and `reason`.

    Returns:
        Those, with `caption`, `language`, and where a stage dropped the row `stage`, `reason` and `detail`.
    """

    @daft.func.batch(return_dtype=_type(_CLEANED), unnest=True, use_process=False)
    def clean(alt_text: daft.Series, reason: daft.Series, unreadable: daft.Series) -> pa.StructArray:
        reasons, broken = reason.to_arrow().cast(pa.string()), unreadable.to_arrow().cast(pa.string())
        kept = np.flatnonzero(reasons.is_null())
        found = [_clean(text) for text in alt_text.to_arrow().take(pa.array(kept)).to_pylist()]
        cleaned = _spread(pa.array(found, _CLEANED), kept, len(reasons))
        before = pc.if_else(
            broken.is_valid(), "read", pc.if_else(reasons.is_valid(), "text", pa.scalar(None, pa.string()))
        )
        reasons = pc.if_else(broken.is_valid(), "unreadable record", reasons)
        return pa.StructArray.from_arrays(
            [
                cleaned.field("caption"),
                cleaned.field("language"),
                pc.coalesce(before, cleaned.field("stage")),
                pc.coalesce(reasons, cleaned.field("reason")),
                pc.coalesce(broken, cleaned.field("detail")),
            ],
            fields=list(_CLEANED),
        )

    others = [name for name in rows.column_names if name not in ("reason", "unreadable")]
    return rows.select(*others, clean(col("alt_text"), col("reason"), col("unreadable")))


def _clean(alt_text: str) -> dict[str, Any]:
    try:
        caption = clean_alt_text(alt_text)
        return {"caption": caption, "language": language_of(caption)}
    except Dropped as dropped:
        return _left("alt-text", dropped)


def _left(stage: str, dropped: Dropped) -> dict[str, Any]:
    return {"stage": stage, "reason": dropped.reason, "detail": dropped.detail or None}


def _spread(values: pa.StructArray, places: NDArray[np.int64], count: int) -> pa.StructArray:
    """Return `count` values: `values` at `places`, nulls (in every field) elsewhere."""
    index = np.full(count, -1)
    index[places] = np.arange(len(places))
    chosen = pa.array(index, mask=index < 0)
    return pa.StructArray.from_arrays([field.take(chosen) for field in values.flatten()], fields=list(values.type))


def looked_at(candidates: daft.DataFrame, store: Path) -> daft.DataFrame:
    """Fetch and judge the images of candidates.

    Args:
        candidates: `row`, `url`, `caption`, and in `image` where those lie that came with the input.
        store: Of the web's answers; see `FetchedStore`.

    Returns:
        `row` and `caption`; where a stage dropped it `stage`, `reason` and `detail`, else `jpeg`, `width`, `height`,
        `original_pixels`, `fingerprint` and `id`.
    """

    @daft.func.batch(return_dtype=_type(_LOOKED), unnest=True, use_process=False)
    def look(url: daft.Series, caption: daft.Series, image: daft.Series) -> pa.StructArray:
        urls, captions, images = url.to_pylist(), caption.to_pylist(), image.to_pylist()
        found: list[Future[dict[str, Any]]] = [Future() for _ in urls]
        waiting = BoundedSemaphore(2 * DECODERS)  # what was fetched waits in memory
        with warnings.catch_warnings(), ThreadPoolExecutor(DECODERS) as pool:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", module="PIL")  # of metadata it cannot read: the image counts
            for place, answer in _answers(urls, images, store):
                waiting.acquire()
                found[place] = pool.submit(_look, answer, captions[place])
                found[place].add_done_callback(lambda _: waiting.release())
                del answer
            return pa.array([each.result() for each in found], _LOOKED)

    return candidates.select("row", "caption", look(col("url"), col("caption"), col("image")))


def _answers(
    urls: Sequence[str | None], images: Sequence[Mapping[str, Any] | None], store: Path
) -> Iterator[tuple[int, Callable[[], bytes]]]:
    """Yield, in any order, each image's place and what gives its bytes, or raises Dropped."""
    asked = []
    for place, (url, image) in enumerate(zip(urls, images, strict=True)):
        if image is not None:
            yield place, partial(read_input_image, image)
        elif url:
            asked.append(place)
        else:
            yield place, partial(_given, Dropped("no url"))
    if asked:
        for number, answer in _fetcher(store).fetch_all([str(urls[place]) for place in asked]):
            yield asked[number], partial(_given, answer)


def _given(answer: Answer) -> bytes:
    if isinstance(answer, Dropped):
        raise answer
    return answer


def _look(read: Callable[[], bytes], caption: str) -> dict[str, Any]:
    stage = "fetch"
    try:
        data = read()
        stage = "image"
        seen = read_image(data)
    except Dropped as dropped:
        return _left(stage, dropped)
    return {
        "jpeg": seen.jpeg,
        "width": seen.width,
        "height": seen.height,
        "original_pixels": seen.original_pixels,
        "fingerprint": seen.fingerprint,
        "id": content_id(seen.jpeg, caption),
    }


_fetchers: dict[Path, tuple[FetchedStore, Fetcher]] = {}
_fetchers_lock = Lock()


def _fetcher(store: Path) -> Fetcher:
    """Return this process's only fetcher with that store: it knows how the hosts want to be treated."""
    with _fetchers_lock:
        if store not in _fetchers:
            answers = FetchedStore(store)
            _fetchers[store] = answers, Fetcher(answers)
        return _fetchers[store][1]


def close_fetcher(store: Path) -> None:
    """Let this process ask the web no more, until it is asked to again."""
    with _fetchers_lock:
        if store in _fetchers:
            answers, fetcher = _fetchers.pop(store)
            fetcher.close()
            answers.close()


def classified(looked: daft.DataFrame, classifier: str) -> daft.DataFrame:
    """Add `aerial_probability` and `embedding` to those with a `jpeg`, and drop those that seem not from above."""

    @daft.func.batch(return_dtype=_type(_JUDGED), unnest=True, use_process=False)
    def judge(jpeg: daft.Series, stage: daft.Series, reason: daft.Series, detail: daft.Series) -> pa.StructArray:
        jpegs = jpeg.to_arrow()
        here = np.flatnonzero(jpegs.is_valid())
        found = _judged(jpegs.take(pa.array(here)).to_pylist(), classifier)
        judged = _spread(pa.array(found, _JUDGED), here, len(jpegs))
        before = (stage.to_arrow(), reason.to_arrow(), detail.to_arrow())
        left = [
            pc.coalesce(old.cast(pa.string()), judged.field(name)) for old, (name, _) in zip(before, _LEFT, strict=True)
        ]
        found_columns = [judged.field("aerial_probability"), judged.field("embedding")]
        return pa.StructArray.from_arrays([*found_columns, *left], fields=list(_JUDGED))

    others = [name for name in looked.column_names if name not in dict(_LEFT)]
    return looked.select(*others, judge(*map(col, ("jpeg", "stage", "reason", "detail"))))


def _judged(jpegs: Sequence[bytes], classifier: str) -> list[dict[str, Any]]:
    if not jpegs:
        return []
    judge = image_judge(classifier)
    embeddings = judge.embed(jpegs)
    found: list[dict[str, Any]] = []
    for exact, embedding in zip(judge.probabilities(embeddings), packed(embeddings.cpu()), strict=True):
        probability = round(exact, 4)  # the rest depends on which images are scored together
        dropped = Dropped("not from above", f"probability {probability:.3f}, kept from {judge.threshold:.3f}")
        left = {} if probability >= judge.threshold else _left("classifier", dropped)
        found.append({"aerial_probability": probability, "embedding": embedding, **left})
    return found


class ImageJudge(Protocol):
    """What tells images from above from others.

    Attributes:
        threshold: Least probability that is kept.
    """

    @property
    def threshold(self) -> float: ...

    def embed(self, jpegs: Sequence[bytes], /) -> "Tensor":
        """Return the embeddings [N, E] of encoded images."""
        ...

    def probabilities(self, embeddings: "Tensor", /) -> list[float]:
        """Return for embeddings [N, E] the probabilities, 0..1, that the images were taken from above."""
        ...


def embedder(classifier: str) -> Embedder:
    """Return the model of a classifier (see `image_judge`) as one that embeds."""

    def embed(jpegs: Sequence[bytes]) -> list[bytes | None]:
        return packed(image_judge(classifier).embed(jpegs).cpu())

    return Embedder(json.dumps(file_state(classifier)), embed)


@cache
def image_judge(classifier: str) -> ImageJudge:
    """Load a folder of `geomammut web train-classifier`, or a model, which is asked zero-shot.

    Raises:
        UserError: It is neither.
    """
    if (Path(classifier) / "classifier.json").exists():
        from geomammut.model.aerial_classifier import load_classifier  # noqa: PLC0415  (torch, if asked for)

        return load_classifier(classifier)
    from geomammut.pairs.web_stages.zero_shot import ZeroShotJudge  # noqa: PLC0415  (torch, for those who ask for it)

    return ZeroShotJudge(classifier)
