"""The dimensions of a MaMMUT model, stored beside its weights as `config.json`."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from geomammut.errors import UserError

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)


class VisionConfig(BaseModel):
    """The image tower: a ViT over `patch_size` patches of a square image.

    `stem` makes the patch embedding: one strided convolution ("patch", as CLIP), or a few 3x3 ones
    ("conv", Xiao et al. 2021, arXiv 2106.14881), which learn faster from little data. `pool` makes one
    embedding of the tokens: their mean, the class token, or a learned query's attention. `activation` is that of
    the MLPs; OpenAI's CLIP has "quick_gelu". `timm` names a ViT of timm's that is the tower instead; the other
    fields then say what it is, and need not be given (see `model.timm_vit`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_size: int = 224
    patch_size: int = 16
    width: int = 768
    layers: int = 12
    heads: int = 12
    mlp_ratio: float = 4.0
    stem: Literal["patch", "conv"] = "patch"
    class_token: bool = False
    pool: Literal["mean", "class", "attention"] = "mean"
    activation: Literal["gelu", "quick_gelu"] = "gelu"
    timm: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _as_timm_says(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("timm") is not None:
            from geomammut.model.timm_vit import timm_fields  # noqa: PLC0415 (timm, for those who ask for it)

            return values | timm_fields(values["timm"], values.get("image_size"))
        return values

    @model_validator(mode="after")
    def _sizes_divide(self) -> "VisionConfig":
        if self.image_size % self.patch_size:
            raise ValueError(f"image_size {self.image_size} is no multiple of patch_size {self.patch_size}")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of heads {self.heads}")
        if self.pool == "class" and not self.class_token:
            raise ValueError('pool = "class" needs class_token = true')
        if self.stem == "conv" and self.patch_size not in (4, 8, 16, 32):
            raise ValueError(f"the conv stem halves the image, so patch_size {self.patch_size} must be 4, 8, 16 or 32")
        return self

    @property
    def grid(self) -> int:
        """Patches along one side."""
        return self.image_size // self.patch_size


class TextConfig(BaseModel):
    """The text decoder (DESIGN §5).

    `cross_attention_every` is M; the first cross-attention follows layer 0. `mlp_before_cross` says
    whether self-attention blocks that a cross block follows have an MLP of their own. `average_padding`
    is openMaMMUT's contrastive pass, which neither masks pads nor leaves them out of the mean.
    `causal_embedding` lets that pass look back alone, as the caption pass does. `embedding_rows` is the size of the
    token table where it differs from `vocab_size`, the width of the head.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    context_length: int = 64
    vocab_size: int = 49408
    embedding_rows: int | None = None
    width: int = 512
    layers: int = 12
    heads: int = 8
    mlp_ratio: float = 4.0
    cross_attention_every: int = Field(default=2, ge=1)
    mlp_before_cross: bool = True
    average_padding: bool = False
    causal_embedding: bool = False
    start_token: int = 49406
    end_token: int = 49407

    @model_validator(mode="after")
    def _sizes_divide(self) -> "TextConfig":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of heads {self.heads}")
        return self

    def crosses_after(self, layer: int) -> bool:
        """Whether a cross-attention block follows self-attention `layer`."""
        return layer % self.cross_attention_every == 0


class MammutConfig(BaseModel):
    """A whole model. The joint space has the text width: text embeddings are not projected."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vision: VisionConfig = VisionConfig()
    text: TextConfig = TextConfig()
    tokenizer: str = "tokenizer.json"  # a file in the model directory, or "clip"
    mean: tuple[float, float, float] = OPENAI_MEAN
    std: tuple[float, float, float] = OPENAI_STD

    @property
    def embed_dim(self) -> int:
        return self.text.width

    @classmethod
    def read(cls, path: Path) -> "MammutConfig":
        """Read `config.json`; raise UserError where it is missing or wrong."""
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}); give a model directory") from error
        except (ValidationError, UnicodeDecodeError) as error:
            first = str(error).splitlines()[:3]
            raise UserError(f"{path} is no model configuration: {' '.join(first)}") from error
