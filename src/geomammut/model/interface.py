"""What every model offers, ours or another's (DESIGN §4)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor, nn

from geomammut.model.pooling_head import Window


class ImageEncoder(Protocol):
    """What embeds images in E dimensions, in evaluation mode.

    Attributes:
        name: What it was loaded from.
        image_size: S, the side in pixels of its square input.
        embed_dim: E.
    """

    name: str
    image_size: int
    embed_dim: int

    @property
    def device(self) -> torch.device: ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]: ...

    def preprocess(self, image: Image.Image) -> Tensor:
        """Map a PIL image to a float tensor [3, S, S]: resized, cropped, normalized."""
        ...

    def encode_image(self, images: Tensor, normalize: bool = True) -> Tensor:
        """Embed preprocessed images [B, 3, S, S] as [B, E], of length 1 if `normalize`."""
        ...


class VisionLanguageModel(ImageEncoder, Protocol):
    """An image encoder and a text encoder into the same space of E dimensions.

    Attributes:
        mean: Per-channel mean of its input, for pixels in 0..1.
        std: Per-channel standard deviation, likewise.
        logit_scale: Factor that its training put on the cosine before the loss.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def tokenizer(self) -> Callable[[Sequence[str]], Tensor]:
        """Maps strings to token ids [B, L]."""
        ...

    @property
    def logit_scale(self) -> float: ...

    def encode_text(self, texts: Tensor | Sequence[str], normalize: bool = True) -> Tensor:
        """Embed strings or token ids [B, L] as [B, E], of length 1 if `normalize`."""
        ...

    def dense_image_embeddings(self, images: Tensor, window: Window) -> Tensor:
        """Embed every patch of [B, 3, S, S] as [B, h, w, E], of length 1.

        `window` is the radius of the Smooth-Attention-Operation in patches, or several whose embeddings are averaged.
        """
        ...
