"""Named sizes of models, from a laptop's to the paper's."""

from typing import Literal

from geomammut.model.config import TextConfig, VisionConfig

Size = Literal["tiny", "small", "b32", "l14", "so400m"]


def vision_of_size(size: Size) -> VisionConfig:
    """Return the image tower of a named size.

    `b32` and `l14` are CLIP's ViTs, pooled as LAION's openMaMMUT pools them; `so400m` is SigLIP's
    shape-optimized ViT (Alabdulmohsin et al. 2023, arXiv 2305.13035), the paper's at 224 pixels.
    """
    match size:
        case "tiny":
            return VisionConfig(image_size=128, width=192, layers=6, heads=3, stem="conv")
        case "small":
            return VisionConfig(width=384, layers=12, heads=6, stem="conv")
        case "b32":
            return VisionConfig(patch_size=32, width=768, layers=12, heads=12, class_token=True)
        case "l14":
            return VisionConfig(patch_size=14, width=1024, layers=24, heads=16, class_token=True)
        case "so400m":
            return VisionConfig(timm="vit_so400m_patch14_siglip_224")


def text_of_size(size: Size) -> TextConfig:
    """Return the text decoder of a named size; a tokenizer's vocabulary replaces its 49,408 words.

    `b32` and `l14` have openMaMMUT's widths and depths; `so400m` is as wide as its image tower, and with it as
    large (the paper's: some 400M parameters each).
    """
    match size:
        case "tiny":
            return TextConfig(width=192, layers=4, heads=3)
        case "small":
            return TextConfig(width=384, layers=6, heads=6)
        case "b32":
            return TextConfig(context_length=77, width=512, layers=12, heads=8)
        case "l14":
            return TextConfig(context_length=77, width=768, layers=12, heads=12)
        case "so400m":
            return TextConfig(width=1152, layers=12, heads=16)
