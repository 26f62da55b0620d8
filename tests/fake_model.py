"""Models whose answers a test can work out: they know colours and nothing else."""

import re
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

NAMED = {
    "red": "ff0000",
    "green": "00ff00",
    "blue": "0000ff",
    "yellow": "ffff00",
    "black": "000000",
    "white": "ffffff",
}


class ColourModel:
    """Embeds an image, or a patch of it, by its mean colour, and a text by the colour it names.

    A colour is one of NAMED or six hexadecimal digits. The embedding of a colour fits no other better.
    """

    name = "colours"
    image_size = 32
    patch_size = 8
    embed_dim = 3
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    logit_scale = 1.0
    device = torch.device("cpu")

    def preprocess(self, image: Image.Image) -> Tensor:
        resized = np.array(image.convert("RGB").resize((self.image_size, self.image_size)))
        return torch.from_numpy(resized).permute(2, 0, 1).float() / 127.5 - 1

    def tokenizer(self, texts: Sequence[str]) -> Tensor:
        raise NotImplementedError

    def encode_image(self, images: Tensor, normalize: bool = True) -> Tensor:
        return F.normalize(images.mean((2, 3)) + 1e-4, dim=-1)

    def encode_text(self, texts: Tensor | Sequence[str], normalize: bool = True) -> Tensor:
        assert not isinstance(texts, Tensor)
        return F.normalize(torch.stack([self._colour(text) for text in texts]) + 1e-4, dim=-1)

    def dense_image_embeddings(self, images: Tensor, window: int) -> Tensor:
        patches = F.avg_pool2d(images, self.patch_size)
        return F.normalize(patches.permute(0, 2, 3, 1) + 1e-4, dim=-1)

    def attention_maps(self, images: Tensor, texts: Sequence[str]) -> Tensor:
        scores = torch.einsum("bhwe,ce->bchw", self.dense_image_embeddings(images, 0), self.encode_text(texts))
        return scores.flatten(2).softmax(-1).view_as(scores)

    def _colour(self, text: str) -> Tensor:
        digits = re.search(r"\b[0-9a-f]{6}\b", text)
        found = [value for word, value in NAMED.items() if re.search(rf"\b{word}\b", text)]
        colour = digits.group() if digits else found[0] if found else "808080"
        return torch.tensor([int(colour[i : i + 2], 16) / 127.5 - 1 for i in (0, 2, 4)])


class ConstantModel(ColourModel):
    """Finds all things alike."""

    name = "constant"

    def encode_image(self, images: Tensor, normalize: bool = True) -> Tensor:
        return torch.full((len(images), 3), 3**-0.5)

    def encode_text(self, texts: Tensor | Sequence[str], normalize: bool = True) -> Tensor:
        return torch.full((len(texts), 3), 3**-0.5)

    def dense_image_embeddings(self, images: Tensor, window: int) -> Tensor:
        grid = self.image_size // self.patch_size
        return torch.full((len(images), grid, grid, 3), 3**-0.5)
