"""A small convolutional image encoder, for what is to be learned from few pictures on a CPU."""

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import v2

MEAN, STD = 0.4, 0.25  # of pixels in 0..1, about


class ConvEncoder(nn.Module):
    """Six convolutions down to a sixteenth; the embedding is each channel's mean and its maximum.

    Convolutions know nothing of the world but that neighbours belong together, which is what a few hundred
    pictures need; a ViT must learn that first.

    Attributes:
        embed_dim: E = 8 `width`.
    """

    def __init__(self, width: int = 32, image_size: int = 64) -> None:
        super().__init__()
        self.name = "conv"
        self.width, self.image_size, self.embed_dim = width, image_size, 8 * width
        steps = [(3, 1, 2), (1, 2, 2), (2, 2, 1), (2, 4, 2), (4, 4, 1), (4, 4, 2)]
        layers: list[nn.Module] = []
        for before, after, stride in steps:
            first = not layers
            channels = before if first else before * width
            size = 5 if first else 3
            layers += [
                nn.Conv2d(channels, after * width, size, stride, size // 2, bias=False),
                nn.BatchNorm2d(after * width),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers)
        self.to(memory_format=torch.channels_last)  # twice as fast on a CPU

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def preprocess(self, image: Image.Image) -> Tensor:
        """Resize the short side to S, crop the centre, normalize: float tensor [3, S, S]."""
        return self.normalize(pixels_of(image, self.image_size).float() / 255)

    def normalize(self, pixels: Tensor) -> Tensor:
        """Normalize pixels in 0..1 of any shape."""
        return (pixels - MEAN) / STD

    def encode_image(self, images: Tensor, normalize: bool = True) -> Tensor:
        """Embed preprocessed images [B, 3, S, S] as [B, E], not of length 1 unless `normalize`."""
        features = self.layers(images.contiguous(memory_format=torch.channels_last))
        embeddings = torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)
        return F.normalize(embeddings, dim=-1) if normalize else embeddings


def pixels_of(image: Image.Image, side: int) -> Tensor:
    """Resize the short side of an image to `side` and crop the centre: uint8 [3, side, side]."""
    transform = v2.Compose(
        [
            v2.PILToTensor(),
            v2.Resize(side, interpolation=v2.InterpolationMode.BICUBIC, antialias=True),
            v2.CenterCrop(side),
        ]
    )
    pixels: Tensor = transform(image.convert("RGB"))
    return pixels
