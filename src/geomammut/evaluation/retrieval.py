"""Zero-shot retrieval: image → text and text → image (DESIGN §5)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geomammut.errors import UserError
from geomammut.evaluation.captioned import read_captioned
from geomammut.evaluation.embeddings import encode_images, encode_texts
from geomammut.evaluation.results import write_results
from geomammut.model.load import load_model

RetrievalProtocol = Literal["instance", "skyscript"]
SKYSCRIPT_PREFIX = "a satellite image. "

_SCORES_AT_ONCE = 1 << 24  # 64 MB of float32


def eval_retrieval(
    model: str,
    out: Path,
    *,
    annotations: Path | None = None,
    images: Path | None = None,
    split: str | None = None,
    pairs: Path | None = None,
    protocol: RetrievalProtocol = "instance",
    seed: int = 0,
) -> dict[str, Any]:
    """Measure zero-shot retrieval on a captioned benchmark or a pair set, and write the results.

    Args:
        model: What `load_model` takes.
        out: The results' JSON file.
        annotations: Captions in Karpathy's JSON layout; with `images` and `split`.
        images: Folder of the images that the annotations name.
        split: "test", "val", …
        pairs: A pair set, instead of the three above.
        protocol: `instance` or `skyscript` (DESIGN §5).
        seed: Recorded; nothing here is random.

    Returns:
        The results, as written: `metrics` i2t_r1 … mR in percent, `tied_pairs` by direction.

    Raises:
        UserError: Something given is missing or broken; every missing image is one too many.
    """
    if protocol not in ("instance", "skyscript"):
        raise UserError(f"no protocol {protocol!r}: choose instance or skyscript")
    benchmark = read_captioned(annotations, images, split, pairs)
    loaded = load_model(model)
    texts, right = protocol_pairs(benchmark.captions, protocol)
    image_embeddings = encode_images(loaded, benchmark.read, benchmark.names)
    metrics, tied_pairs = retrieval_metrics(image_embeddings, encode_texts(loaded, texts), right)
    return write_results(
        Path(out),
        model=model,
        benchmark=benchmark.title,
        protocol=protocol,
        counts={"images": len(benchmark.names), "texts": len(texts), "distinct_texts": len(set(texts))},
        metrics=metrics,
        tied_pairs=tied_pairs,
        seed=seed,
    )


def protocol_pairs(
    captions: Sequence[Sequence[str]], protocol: RetrievalProtocol
) -> tuple[list[str], NDArray[np.int64]]:
    """Return the texts that a protocol asks for, and which image–text pairs it calls right.

    Args:
        captions: The captions of each image.
        protocol: `instance`: every caption is a text of its own, right for its own image alone, even if
            another image carries the same words. `skyscript`: distinct strings behind a prefix, each right
            for all images that carry it.

    Returns:
        T texts, and pairs (image, text) [N, 2], sorted, each once.
    """
    if protocol == "instance":
        texts = [caption for some in captions for caption in some]
        owners = np.repeat(np.arange(len(captions)), [len(some) for some in captions])
        return texts, np.stack([owners, np.arange(len(texts))], axis=1)
    distinct = list(dict.fromkeys(caption for some in captions for caption in some))
    place = {caption: index for index, caption in enumerate(distinct)}
    right = sorted({(image, place[caption]) for image, some in enumerate(captions) for caption in some})
    return [SKYSCRIPT_PREFIX + caption for caption in distinct], np.array(right, np.int64).reshape(-1, 2)


def retrieval_metrics(
    image_embeddings: Tensor, text_embeddings: Tensor, right: NDArray[np.int64]
) -> tuple[dict[str, float], dict[str, int]]:
    """Score embeddings against each other and count how often something right ranks among the first k.

    A wrong item whose score equals that of the best right one ranks before it, so that a constant model
    scores 0.

    Args:
        image_embeddings: [I, E].
        text_embeddings: [T, E].
        right: Pairs (image, text) that belong together, [N, 2], each once; every image and every text
            has one.

    Returns:
        Recalls in percent (i2t_r1, i2t_r5, i2t_r10, t2i_r1, …) with their mean mR; and by direction how
        many wrong items tie with a query's best right one.

    Raises:
        ValueError: An image or text without a right partner, or embeddings that are not finite.
    """
    metrics: dict[str, float] = {}
    tied_pairs: dict[str, int] = {}
    for direction, queries, gallery, pairs in (
        ("i2t", image_embeddings, text_embeddings, right),
        ("t2i", text_embeddings, image_embeddings, right[:, ::-1]),
    ):
        before, tied = wrong_before_right(queries, gallery, pairs)
        tied_pairs[direction] = int(tied.sum())
        for k in (1, 5, 10):
            metrics[f"{direction}_r{k}"] = 100.0 * float((before < k).mean())
    metrics["mR"] = sum(metrics.values()) / 6
    return metrics, tied_pairs


def wrong_before_right(
    queries: Tensor, gallery: Tensor, right: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count, for each query, the wrong items that rank before its best right one.

    Scores are inner products in float32, taken a block of queries at a time. Equal gallery rows are
    scored once, so that they tie to the last bit wherever in the gallery they stand.

    Args:
        queries: [Q, E].
        gallery: [G, E].
        right: Pairs (query, item) that belong together, [N, 2], each once.

    Returns:
        Wrong items with a score of at least the best right one's, and those of them with exactly its
        score; each [Q].
    """
    queries, gallery = queries.float(), gallery.float()
    if not (queries.isfinite().all() and gallery.isfinite().all()):
        raise ValueError("embeddings must be finite")
    right = right[np.argsort(right[:, 0], kind="stable")]
    ends = np.searchsorted(right[:, 0], np.arange(len(queries) + 1))
    if (np.diff(ends) == 0).any():
        raise ValueError("every query needs at least one right item")
    rows, place, copies = _distinct_rows(gallery)
    before = np.empty(len(queries), np.int64)
    tied = np.empty(len(queries), np.int64)
    block = max(1, _SCORES_AT_ONCE // len(rows))
    for first in range(0, len(queries), block):
        last = min(first + block, len(queries))
        scores = queries[first:last] @ rows.T
        owner, item = torch.from_numpy(right[ends[first] : ends[last]].T.copy())
        owner = owner - first
        right_scores = scores[owner, place[item]]
        best = torch.full((last - first,), -torch.inf).scatter_reduce(0, owner, right_scores, "amax")
        # Right items can reach the best score but not pass it: they are struck from the equals.
        above = _count(scores > best[:, None], copies)
        equal = _count(scores == best[:, None], copies)
        right_equal = torch.zeros_like(equal).index_add(0, owner, (right_scores == best[owner]).long())
        tied[first:last] = (equal - right_equal).numpy()
        before[first:last] = (above + equal - right_equal).numpy()
    return before, tied


def _count(hits: Tensor, copies: Tensor | None) -> Tensor:
    """Return how many items the hit rows [Q, U] stand for, [Q]."""
    if copies is None:
        return hits.sum(1)
    return (hits.double() @ copies).long()


def _distinct_rows(embeddings: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the distinct rows [U, E], each row's place among them, and their copies (None: all once)."""
    rows = np.ascontiguousarray(embeddings.cpu().numpy()) + 0.0  # −0 becomes 0
    keys = rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize))).ravel()
    _, first, place, copies = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    once = None if len(first) == len(rows) else torch.from_numpy(copies).double()
    return torch.from_numpy(rows[first]), torch.from_numpy(place), once
