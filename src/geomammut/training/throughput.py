"""How much of a machine a step uses: its arithmetic against what the machine's matrix products reach."""

import time

import torch

from geomammut.model.config import MammutConfig

_CEILING_SIDE = {"cuda": 8192, "cpu": 1536}  # of the matrices multiplied to find the ceiling
_CEILING_ROUNDS = 3


def training_flops(config: MammutConfig, *, patches: int, tokens: float, contrastive: bool, captions: bool) -> float:
    """Return the floating-point operations of a training step for one sample, forward and backward.

    Counts matrix products, two operations for a multiply and an add, and twice as much backward as forward
    (PaLM, Chowdhery et al. 2022, appendix B); recomputed activations do not count.

    Args:
        config: The model.
        patches: That the image tower looks at.
        tokens: Of a caption, start and end with it, on average.
        contrastive: Whether texts are embedded.
        captions: Whether captions are read with the image, and logits computed at each of their tokens.
    """
    vision, text = config.vision, config.text
    seen = patches + int(vision.class_token)
    block = 4 + 2 * vision.mlp_ratio  # weights of a block, in widths squared
    forward: float = 2 * patches * 3 * vision.patch_size**2 * vision.width
    forward += vision.layers * (2 * seen * block * vision.width**2 + 4 * seen**2 * vision.width)
    crossed = [text.crosses_after(layer) for layer in range(text.layers)]
    own = sum(4 + 2 * text.mlp_ratio * (not crosses or text.mlp_before_cross) for crosses in crossed)
    reading = 2 * tokens * own * text.width**2 + text.layers * 4 * tokens**2 * text.width
    if contrastive:
        forward += reading
    if captions:
        of_tokens, of_image = 2 + 2 * text.mlp_ratio, 2
        forward += reading + 2 * seen * vision.width * text.width
        forward += sum(crossed) * 2 * (tokens * of_tokens + seen * of_image) * text.width**2
        forward += sum(crossed) * 4 * tokens * seen * text.width
        forward += 2 * tokens * text.width * text.vocab_size
    return 3 * forward


def matmul_ceiling(device: torch.device, dtype: torch.dtype) -> float:
    """Return the operations per second that large matrix products reach here, measured in well under a second."""
    side = _CEILING_SIDE["cuda" if device.type == "cuda" else "cpu"]
    one = torch.randn(side, side, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(_CEILING_ROUNDS + 1):  # the first warms up
        started = time.perf_counter()
        product = one @ one
        if product.is_cuda:
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best
