"""Captions that a model writes, against those of people: BLEU, CIDEr, SPIDEr."""

import io
import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from geomammut.errors import UserError
from geomammut.evaluation.captioned import CaptionedImages, read_captioned
from geomammut.evaluation.intervals import bootstrap_intervals
from geomammut.evaluation.leaks import leak_report
from geomammut.evaluation.results import write_results
from geomammut.model.load import load_model
from geomammut.pictures import UNREADABLE, open_picture
from geomammut.progress import track

_IMAGES_AT_ONCE = 32
# As Stanford's tokenizer, which MS-COCO's evaluation runs in Java: "isn't" is "is", "n't", "the river's" ends in "'s".
_WORD = re.compile(r"n't\b|'(?:s|re|ve|ll|d|m)\b|(?:(?!n't\b)\w)+(?:[-.](?:(?!n't\b)\w)+)*")


def eval_captioning(
    model: str,
    out: Path,
    *,
    annotations: Path | None = None,
    images: Path | None = None,
    split: str | None = None,
    pairs: Path | CaptionedImages | None = None,
    benchmark: str | None = None,
    subset: bool = False,
    captions: Path | None = None,
    beams: int = 1,
    spice: bool = False,
    leaks: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure a model's captions against people's, and write the results.

    Args:
        model: What `load_model` takes, and captions; with captions given, what to call the system that wrote them.
        out: The results' JSON file.
        annotations: Captions in Karpathy's JSON layout; with `images` and `split`.
        images: Folder of the images that the annotations name; not needed where captions are given.
        split: "test", "val", …
        pairs: A pair set, or images of a dataset in memory (`captioned_images`), instead of the three above.
        benchmark: Which it is (`benchmarks list`), for the counts to check.
        subset: Measure, with a note, though counts are not those published.
        captions: JSON, image as the benchmark names it → its caption, in place of a model's.
        beams: How many beginnings of a caption are searched at a time.
        spice: SPICE and SPIDEr, too: by Java 8, with Stanford's CoreNLP 3.6.0 put into pycocoevalcap's folder.
        leaks: Also report which images are nearly ones of the pair sets that the model's records name.
        seed: Of the bootstrap.

    Returns:
        The results, as written: `metrics` bleu1 … bleu4 and cider (spice, spider), times 100; 95% `intervals` of
        cider over images; `captions`, what was written for each image.

    Raises:
        UserError: Something given is missing or broken; the model writes no captions; pycocoevalcap is not installed.
    """
    _check_installed(spice)
    found, title, published = read_captioned(
        annotations, images, split, pairs, images_needed=captions is None, benchmark=benchmark, subset=subset
    )
    written = _read_captions(Path(captions), found) if captions else _write_captions(model, found, beams)
    metrics, by_image = caption_metrics(found.captions, written)
    if spice:
        metrics |= _spice(found.captions, written, metrics["cider"])
    return write_results(
        Path(out),
        model=model,
        benchmark=title,
        protocol="captioning, words in lower case without punctuation" + (f", {beams} beams" if beams > 1 else ""),
        counts={"images": len(written), "texts": sum(map(len, found.captions))},
        metrics=metrics,
        intervals=bootstrap_intervals(
            len(written), lambda drawn: {"cider": 100 * float((by_image * drawn).mean())}, seed=seed
        ),
        published=published,
        leaks=leak_report(model, found.names, found.read) if leaks and captions is None else None,
        captions=dict(zip(found.names, written, strict=True)),
        seed=seed,
    )


def caption_metrics(
    references: Sequence[Sequence[str]], written: Sequence[str]
) -> tuple[dict[str, float], np.ndarray[Any, np.dtype[np.float64]]]:
    """Score captions by the code of MS-COCO's caption evaluation (pycocoevalcap).

    Its tokenizer needs Java; ours makes the same words of the test captions of RSICD (5,465) and of RSITMD (2,260) but
    one, as measured on 2026-11-21.

    Args:
        references: People's captions of each of N images.
        written: A caption of each.

    Returns:
        bleu1 … bleu4 (Papineni et al. 2002) and cider (CIDEr-D, Vedantam et al. 2015), times 100; each image's
        CIDEr, [N], whose mean is the whole's.
    """
    from pycocoevalcap.bleu.bleu import Bleu  # noqa: PLC0415 (an extra)
    from pycocoevalcap.cider.cider import Cider  # noqa: PLC0415 (an extra)

    told, said = _tokenized(references, written)
    bleu, _ = Bleu(4).compute_score(told, said, verbose=0)
    cider, by_image = Cider().compute_score(told, said)
    metrics = {f"bleu{n}": 100 * float(value) for n, value in enumerate(bleu, 1)}
    return metrics | {"cider": 100 * float(cider)}, np.asarray(by_image)


def _tokenized(
    references: Sequence[Sequence[str]], written: Sequence[str]
) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    def words(text: str) -> str:
        return " ".join(_WORD.findall(text.lower().replace("’", "'")))

    told = {index: [words(text) for text in some] for index, some in enumerate(references)}
    return told, {index: [words(text)] for index, text in enumerate(written)}


def _spice(references: Sequence[Sequence[str]], written: Sequence[str], cider: float) -> dict[str, float]:
    """Return spice (Anderson et al. 2016) and spider, its mean with CIDEr (Liu et al. 2017), times 100."""
    from pycocoevalcap.spice import spice as of_package  # noqa: PLC0415 (an extra)

    told, said = _tokenized(references, written)
    try:
        spice = 100 * float(of_package.Spice().compute_score(told, said)[0])
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise UserError(f"SPICE does not run ({error}); it needs Java 8; or leave --spice out") from error
    return {"spice": spice, "spider": (spice + cider) / 2}


def _check_installed(spice: bool) -> None:
    try:
        from pycocoevalcap.spice import spice as of_package  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise UserError(
            "captions are scored by pycocoevalcap; install it: pip install 'geomammut[captioning]'"
        ) from error
    folder = Path(of_package.__file__).parent / "lib"
    jars = [f"stanford-corenlp-3.6.0{part}.jar" for part in ("", "-models")]
    if spice and not all((folder / jar).is_file() for jar in jars):
        # The package would fetch them over plain http, and run what came.
        raise UserError(
            f"SPICE needs {' and '.join(jars)} in {folder}, from Stanford's CoreNLP 3.6.0; or leave --spice out"
        )


def _write_captions(model: str, benchmark: CaptionedImages, beams: int) -> list[str]:
    loaded: Any = load_model(model)
    if not hasattr(loaded, "generate"):
        raise UserError(f"{model} writes no captions; give a model with a caption pass, or --captions of another")
    written: list[str] = []
    for first in track(range(0, len(benchmark.names), _IMAGES_AT_ONCE), "captioning, in batches"):
        prepared = []
        for index in range(first, min(first + _IMAGES_AT_ONCE, len(benchmark.names))):
            try:
                prepared.append(loaded.preprocess(open_picture(io.BytesIO(benchmark.read(index)))))
            except UNREADABLE as error:
                raise UserError(f"{benchmark.names[index]} cannot be read as an image ({error}); restore it") from error
        with torch.inference_mode():
            written += loaded.generate(torch.stack(prepared).to(loaded.device), beams=beams)
    return written


def _read_captions(path: Path, benchmark: CaptionedImages) -> list[str]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"no captions at {path} ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error})") from error
    if not isinstance(stored, Mapping):
        raise UserError(f"{path} must be a JSON object: image → caption")
    missing = [name for name in benchmark.names if not isinstance(stored.get(name), str)]
    if missing:
        raise UserError(
            f"{path} has no caption for {len(missing)} of {len(benchmark.names)} images, first {missing[0]}"
        )
    return [stored[name] for name in benchmark.names]
