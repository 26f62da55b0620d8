"""`web train-classifier`: learn to tell images taken from above from all others."""

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from geomammut import __version__
from geomammut.errors import UserError
from geomammut.files import whole_folder
from geomammut.model.aerial_classifier import OWN, AerialClassifier, ClassifierConfig, OwnEncoder, weights_hash
from geomammut.model.conv_encoder import ConvEncoder, pixels_of
from geomammut.model.interface import ImageEncoder
from geomammut.model.load import load_image_encoder
from geomammut.training.classifier_pictures import Source, prepared, sources
from geomammut.training.conv_training import train_conv_encoder
from geomammut.training.probe import Probe, calibrate, choose_penalty, fit_probe, measured, stratified

HELD_OUT_PARTS = 5  # one of which is held out
FEWEST = 20  # pictures a side
STORED_SIDE = 96  # of the pictures that an encoder of its own is trained on


@dataclass(frozen=True)
class Fitted:
    """An encoder and a probe on it, with the logits [n] of the pictures held out from both."""

    encoder: ImageEncoder
    probe: Probe
    held_out_logits: Tensor
    how: dict[str, Any]


def web_train_classifier(
    positives: Sequence[Path],
    negatives: Sequence[Path],
    out: Path,
    *,
    encoder: str | None = None,
    samples: int = 60_000,
    recall: float = 0.99,
    seed: int = 0,
) -> dict[str, Any]:
    """Train a classifier that tells the probability that an image was taken from above.

    A fifth of the pictures of each side is held out from the encoder's training and the probe's fit. On it, the
    logits are calibrated (Platt scaling, at even odds) and the classifier is measured.

    Args:
        positives: Images taken from above: folders of images (nested or not), or pair sets.
        negatives: Others, likewise.
        out: Folder of the classifier, for `geomammut.load_classifier`: `classifier.json` and
            `classifier.safetensors`.
        encoder: What embeds the images, for a linear probe: a model directory, a hub id, `open_clip:NAME/TAG`,
            `timm:NAME[/FILE]`. Without one, a small convolutional encoder is trained on the pictures themselves
            and goes into `out`.
        samples: Pictures that the training of such an encoder draws.
        recall: Share of positives that the threshold is to keep; the threshold is never above one half.
        seed: Of the split, the folds, and an encoder's training.

    Returns:
        The report, as it stands in `classifier.json`: counts, how it was fitted, and `metrics` on what was held
        out: auc, precision (at even odds), recall, false_positive_rate, threshold.

    Raises:
        UserError: A folder is missing or empty, there are fewer than 20 pictures of a side, or the encoder cannot
            be loaded.
    """
    if not 0 < recall < 1:
        raise UserError(f"recall {recall} is no share between 0 and 1; 0.99 keeps 99% of the positives")
    draws = torch.Generator().manual_seed(seed)
    given = load_image_encoder(encoder) if encoder is not None else None
    sides = {
        "positives": sources([Path(folder) for folder in positives], "positives", draws),
        "negatives": sources([Path(folder) for folder in negatives], "negatives", draws),
    }
    data, labels, counts = _read(sides, given)
    held_out = stratified(labels, HELD_OUT_PARTS, draws) == 0
    if given is None:
        fitted = _with_own_encoder(data, labels, held_out, samples, seed)
    else:
        fitted = _with_given_encoder(given, data, labels, held_out, draws)
    calibration = calibrate(fitted.held_out_logits, labels[held_out], recall)
    metrics = measured(fitted.held_out_logits, labels[held_out], recall, draws)
    report = {
        "counts": counts | {"held_out": int(held_out.sum())},
        "fit": fitted.how | {"calibration": "Platt scaling on the held-out pictures, at even odds"},
        "metrics": {name: round(value, 6) for name, value in metrics.items()} | {"threshold": calibration.threshold},
        "versions": {"geomammut": __version__, "torch": version("torch"), "python": platform.python_version()},
        "seed": seed,
    }
    own = fitted.encoder if isinstance(fitted.encoder, ConvEncoder) else None
    config = ClassifierConfig(
        encoder=encoder or OWN,
        encoder_weights=weights_hash(fitted.encoder),
        own_encoder=OwnEncoder(width=own.width, image_size=own.image_size) if own else None,
        features=fitted.encoder.embed_dim,
        threshold=calibration.threshold,
        report=report,
    )
    final = calibration.applied(fitted.probe)
    with whole_folder(Path(out)) as folder:
        AerialClassifier(config, fitted.encoder, final.weights, final.bias).save(folder)
    return report


def _read(sides: dict[str, list[Source]], given: ImageEncoder | None) -> tuple[Tensor, Tensor, dict[str, int]]:
    """Return embeddings [N, E], or pixels [N, 3, s, s] for an encoder to be trained; labels [N]; counts."""
    prepare: Callable[[Image.Image], Tensor] = _stored if given is None else given.preprocess
    batches: list[Tensor] = []
    labels: list[Tensor] = []
    counts: dict[str, int] = {}
    for side, wanted in sides.items():
        broken = 0
        for batch, lost in prepared(wanted, prepare, side):
            broken += lost
            if len(batch):
                batches.append(batch if given is None else _embedded(given, batch))
                labels.append(torch.full((len(batch),), side == "positives"))
        counts |= {side: len(wanted) - broken, f"broken_{side}": broken}
        if counts[side] < FEWEST:
            raise UserError(
                f"{counts[side]} of {len(wanted)} {side} can be read; give at least {FEWEST}, better some hundreds"
            )
    return torch.cat(batches), torch.cat(labels), counts


def _stored(image: Image.Image) -> Tensor:
    return pixels_of(image, STORED_SIDE)


@torch.inference_mode()
def _embedded(encoder: ImageEncoder, images: Tensor) -> Tensor:
    return encoder.encode_image(images.to(encoder.device), normalize=False).float().cpu()


def _with_given_encoder(
    encoder: ImageEncoder, embeddings: Tensor, labels: Tensor, held_out: Tensor, draws: torch.Generator
) -> Fitted:
    if not embeddings.isfinite().all():
        raise UserError(f"{encoder.name} gives image embeddings that are not finite; its weights are broken")
    penalty = choose_penalty(embeddings[~held_out], labels[~held_out], draws)
    probe = fit_probe(embeddings[~held_out], labels[~held_out], penalty)
    how = {"probe": "logistic regression", "l2": penalty, "l2_chosen": "by 5 folds of what was not held out"}
    return Fitted(encoder, probe, probe.logits(embeddings[held_out]), how)


def _with_own_encoder(pixels: Tensor, labels: Tensor, held_out: Tensor, samples: int, seed: int) -> Fitted:
    encoder, probe = train_conv_encoder(pixels[~held_out], labels[~held_out], samples=samples, seed=seed)
    shown = [encoder.preprocess(Image.fromarray(picture.permute(1, 2, 0).numpy())) for picture in pixels[held_out]]
    embeddings = torch.cat([_embedded(encoder, torch.stack(shown[at : at + 64])) for at in range(0, len(shown), 64)])
    return Fitted(encoder, probe, probe.logits(embeddings), {"probe": "trained with its encoder", "samples": samples})
