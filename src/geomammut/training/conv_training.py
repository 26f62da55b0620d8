"""A small encoder learned from nothing but the pictures that the classifier is to tell apart."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geomammut.model.conv_encoder import ConvEncoder
from geomammut.progress import track
from geomammut.training.probe import Probe

BATCH = 64
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.05
DROPOUT = 0.2
SMOOTHING = 0.05  # of the labels
JITTER = 0.3  # of colour, contrast and brightness
BLURRED_SIDES = (16, 24, 32, 40)  # to which a picture may be shrunk first: what is coarse is seen as coarse
BLURRED_SHARE = 0.1  # for each of them
MIXED_SHARE = 0.3  # of the pictures get a piece of another one of their side


def train_conv_encoder(pictures: Tensor, labels: Tensor, *, samples: int, seed: int) -> tuple[ConvEncoder, Probe]:
    """Learn to tell positives from negatives, as many of the one as of the other in every step.

    Pictures are cropped, stretched, mirrored, coloured, blurred and patched with pieces of others; positives are
    also turned, for what is seen from above has no upper side, and a photograph has.

    Args:
        pictures: uint8 [N, 3, s, s].
        labels: [N], True for positives.
        samples: Pictures to draw.
        seed: The same gives the same encoder, on one machine.

    Returns:
        The encoder, in evaluation mode, and its last layer.
    """
    draws = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = ConvEncoder()
        head = nn.Linear(encoder.embed_dim, 1)
        parameters = [*encoder.parameters(), *head.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        steps = max(1, samples // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, steps + 1, pct_start=0.1)
        sides = [(labels == label).nonzero()[:, 0] for label in (True, False)]
        positive = torch.arange(BATCH) < BATCH // 2
        targets = torch.where(positive, 1 - SMOOTHING, SMOOTHING)
        for _ in track(range(steps), "training an encoder"):
            drawn = [side[torch.randint(len(side), (BATCH // 2,), generator=draws)] for side in sides]
            images = augmented(pictures[torch.cat(drawn)], positive, encoder.image_size, draws)
            embeddings = encoder.encode_image(encoder.normalize(images), normalize=False)
            logits = head(F.dropout(embeddings, DROPOUT))[:, 0]
            loss = F.binary_cross_entropy_with_logits(logits, targets)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return encoder.eval(), Probe(head.weight.detach()[0], head.bias.detach())


def augmented(pictures: Tensor, positive: Tensor, side: int, draws: torch.Generator) -> Tensor:
    """Return other views of pictures uint8 [B, 3, s, s], as [B, 3, side, side] in about 0..1.

    `positive` [B] says which may be turned upside down and on their sides.
    """
    images = _cropped(pictures.float() / 255, positive, side, draws)
    for coarse in BLURRED_SIDES:
        chosen = torch.rand(len(images), generator=draws) < BLURRED_SHARE
        if chosen.any():
            shrunk = F.interpolate(images[chosen], size=(coarse, coarse), mode="area")
            images[chosen] = F.interpolate(shrunk, size=(side, side), mode="bilinear")
    return _patched(_coloured(images, draws), positive, draws)


def _cropped(images: Tensor, positive: Tensor, side: int, draws: torch.Generator) -> Tensor:
    """Crop 35 to 100% of the area, of an aspect of 0.8 to 1.3; mirror; turn the positives."""
    count = len(images)
    root = _uniform(count, 0.35, 1.0, draws).sqrt()
    aspect = _uniform(count, -0.25, 0.25, draws).exp()
    width, height = (root * aspect).clamp(max=1), (root / aspect).clamp(max=1)
    across = torch.where(_uniform(count, 0, 1, draws) < 0.5, width, -width)
    down = torch.where(positive & (_uniform(count, 0, 1, draws) < 0.5), -height, height)
    turned = positive & (_uniform(count, 0, 1, draws) < 0.5)
    grid = torch.zeros(count, 2, 3)
    grid[:, 0, 0], grid[:, 1, 1] = across.where(~turned, 0), down.where(~turned, 0)
    grid[:, 0, 1], grid[:, 1, 0] = across.where(turned, 0), down.where(turned, 0)
    grid[:, 0, 2] = (1 - width) * _uniform(count, -1, 1, draws)
    grid[:, 1, 2] = (1 - height) * _uniform(count, -1, 1, draws)
    places = F.affine_grid(grid, [count, 3, side, side], align_corners=False)
    return F.grid_sample(images, places, mode="bilinear", align_corners=False)


def _coloured(images: Tensor, draws: torch.Generator) -> Tensor:
    """Change saturation, contrast, brightness and the balance of the channels, and shift all a little."""
    count = len(images)

    def factors(low: float, high: float) -> Tensor:
        return _uniform(count, low, high, draws)[:, None, None, None]

    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * factors(1 - 2 * JITTER, 1 + 2 * JITTER)
    middle = images.mean(dim=(2, 3), keepdim=True)
    images = (images - middle) * factors(-JITTER, JITTER).exp() + middle * factors(-JITTER, JITTER).exp()
    balance = (JITTER * (torch.rand(count, 3, 1, 1, generator=draws) - 0.5)).exp()
    return images * balance + 0.03 * torch.randn(count, 1, 1, 1, generator=draws)


def _patched(images: Tensor, positive: Tensor, draws: torch.Generator) -> Tensor:
    """Put into some pictures a rectangle of another one of the same side (CutMix, Yun et al. 2019, within a class)."""
    count, _, side, _ = images.shape
    others = torch.arange(count)
    for label in (True, False):
        places = (positive == label).nonzero()[:, 0]
        others[places] = places[torch.randperm(len(places), generator=draws)]
    mixed = _uniform(count, 0, 1, draws) < MIXED_SHARE
    inside = mixed[:, None, None]
    for axis in (1, 2):
        length = _uniform(count, side / 4, 3 * side / 4, draws)
        start = _uniform(count, 0, 1, draws) * (side - length)
        pixels = torch.arange(side)[None]
        between = (pixels >= start[:, None]) & (pixels < (start + length)[:, None])
        inside = inside & (between[:, :, None] if axis == 1 else between[:, None, :])
    return torch.where(inside[:, None], images[others], images)


def _uniform(count: int, low: float, high: float, draws: torch.Generator) -> Tensor:
    return torch.rand(count, generator=draws) * (high - low) + low
