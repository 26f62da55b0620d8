"""Zero-shot retrieval: image → text and text → image (DESIGN §5)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from geomammut.errors import UserError
from geomammut.evaluation.captioned import CaptionedImages, read_captioned
from geomammut.evaluation.embeddings import EmbeddingCache, encode_images, encode_texts, read_both_embeddings
from geomammut.evaluation.intervals import bootstrap_intervals
from geomammut.evaluation.leaks import leak_report
from geomammut.evaluation.ranks import Ranks, rank
from geomammut.evaluation.results import write_results
from geomammut.model.load import load_model

RetrievalProtocol = Literal["instance", "skyscript"]
SKYSCRIPT_PREFIX = "a satellite image. "

_TOP = (1, 5, 10)


def eval_retrieval(
    model: str,
    out: Path,
    *,
    annotations: Path | None = None,
    images: Path | None = None,
    split: str | None = None,
    pairs: Path | CaptionedImages | None = None,
    benchmark: str | None = None,
    subset: bool = False,
    protocol: RetrievalProtocol = "instance",
    image_embeddings: Path | None = None,
    text_embeddings: Path | None = None,
    cache: Path | None = None,
    leaks: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure zero-shot retrieval on a captioned benchmark or a pair set, and write the results.

    Args:
        model: What `load_model` takes; with embeddings given, what to call the system that made them.
        out: The results' JSON file.
        annotations: Captions in Karpathy's JSON layout; with `images` and `split`.
        images: Folder of the images that the annotations name; not needed where embeddings are given.
        split: "test", "val", …
        pairs: A pair set, or images of a dataset in memory (`captioned_images`), instead of the three above.
        benchmark: Which it is (`benchmarks list`), for the counts to check.
        subset: Measure, with a note, though counts are not those published.
        protocol: `instance` or `skyscript` (DESIGN §5).
        image_embeddings: An .npy file [I, E], a row for each image in the benchmark's order, in place of a model's.
        text_embeddings: An .npy file [T, E], a row for each of the protocol's texts (`protocol_pairs`).
        cache: Folder where embeddings are kept, found again by the model's weights and the inputs' bytes.
        leaks: Also report which images are nearly ones of the pair sets that the model's records name.
        seed: Of the bootstrap.

    Returns:
        The results, as written: `metrics` i2t_r1 … mR in percent, their 95% `intervals`, `median_rank` (1 is best)
        and `tied_pairs` by direction.

    Raises:
        UserError: Something given is missing or broken; every missing image is one too many.
    """
    if protocol not in ("instance", "skyscript"):
        raise UserError(f"no protocol {protocol!r}: choose instance or skyscript")
    needed = image_embeddings is None and text_embeddings is None
    found, title, published = read_captioned(
        annotations, images, split, pairs, images_needed=needed, benchmark=benchmark, subset=subset
    )
    texts, right = protocol_pairs(found.captions, protocol)
    every = "every caption, image after image" if protocol == "instance" else "every distinct caption, as first met"
    dumped = read_both_embeddings(
        image_embeddings,
        text_embeddings,
        (len(found.names), len(texts)),
        (f"one for each image of {found.title}, in its order", f"{every}, for the protocol {protocol}"),
    )
    if dumped:
        of_images, of_texts = dumped
    else:
        loaded = load_model(model)
        kept = EmbeddingCache(Path(cache), loaded) if cache else None
        of_images = encode_images(loaded, found.read, found.names, kept)
        of_texts = encode_texts(loaded, texts, kept)
    by_image, by_text = rank(of_images, of_texts, right)
    return write_results(
        Path(out),
        model=model,
        benchmark=title,
        protocol=protocol,
        counts={"images": len(found.names), "texts": len(texts), "distinct_texts": len(set(texts))},
        metrics=_recalls(by_image, by_text),
        intervals=retrieval_intervals(by_image, by_text, right, seed=seed),
        median_rank={"i2t": float(np.median(by_image.before)) + 1, "t2i": float(np.median(by_text.before)) + 1},
        leaks=leak_report(model, found.names, found.read) if leaks and not dumped else None,
        published=published,
        tied_pairs={"i2t": int(by_image.tied.sum()), "t2i": int(by_text.tied.sum())},
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


def retrieval_metrics(image_embeddings: Tensor, text_embeddings: Tensor, right: NDArray[np.int64]) -> dict[str, float]:
    """Score embeddings against each other and count how often something right ranks among the first k.

    A wrong item whose score equals that of the best right one ranks before it, so that a constant model
    scores 0.

    Args:
        image_embeddings: [I, E].
        text_embeddings: [T, E].
        right: Pairs (image, text) that belong together, [N, 2], each once; every image and every text
            has one.

    Returns:
        Recalls in percent (i2t_r1, i2t_r5, i2t_r10, t2i_r1, …) with their mean mR.

    Raises:
        ValueError: An image or text without a right partner, or embeddings that are not finite.
    """
    return _recalls(*rank(image_embeddings, text_embeddings, right))


def _recalls(by_image: Ranks, by_text: Ranks) -> dict[str, float]:
    recalls = {
        f"{direction}_r{k}": 100.0 * float((ranks.before < k).mean())
        for direction, ranks in (("i2t", by_image), ("t2i", by_text))
        for k in _TOP
    }
    return recalls | {"mR": sum(recalls.values()) / len(recalls)}


def retrieval_intervals(
    by_image: Ranks, by_text: Ranks, right: NDArray[np.int64], *, seed: int
) -> dict[str, list[float]]:
    """Return 95% bootstrap intervals of the metrics over images, the gallery as it is.

    An image that is drawn brings its texts along; a text that several images carry counts by its share of them.

    Args:
        by_image: The ranks of each image's texts [I].
        by_text: The ranks of each text's images [T].
        right: Pairs (image, text) that belong together, [N, 2].
        seed: Of the draws.
    """
    image, text = right.T
    share = 1 / np.bincount(text)[text]
    images = len(by_image.before)
    texts = np.bincount(image, share, images)
    hits = [(by_image.before < k).astype(float) for k in _TOP]
    hits += [np.bincount(image, share * (by_text.before < k)[text], images) for k in _TOP]
    counted = np.stack([*hits, np.ones(images), texts], axis=1)
    names = [f"{direction}_r{k}" for direction in ("i2t", "t2i") for k in _TOP]

    def metrics(drawn: NDArray[np.int64]) -> dict[str, float]:
        *found, all_images, all_texts = drawn @ counted
        wholes = [all_images] * len(_TOP) + [all_texts] * len(_TOP)
        recalls = {name: 100 * one / whole for name, one, whole in zip(names, found, wholes, strict=True)}
        return recalls | {"mR": sum(recalls.values()) / len(recalls)}

    return bootstrap_intervals(images, metrics, seed=seed)
