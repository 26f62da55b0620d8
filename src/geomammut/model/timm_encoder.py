"""Any timm model as an image encoder."""

from pathlib import Path

import timm
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import SafetensorError
from timm.data.config import resolve_model_data_config
from timm.data.transforms_factory import create_transform
from torch import Tensor, nn

from geomammut.errors import UserError

RANDOM = "random"


class TimmEncoder(nn.Module):
    """Wraps `timm:NAME` (the hub's weights), `timm:NAME/FILE.safetensors` or `timm:NAME/random`.

    The embedding is what the model's classifier would have been given. Random weights are always the same ones.
    """

    def __init__(self, architecture: str, weights: str | None = None) -> None:
        super().__init__()
        self.name = f"timm:{architecture}" + (f"/{weights}" if weights else "")
        if not timm.is_model(architecture):
            raise UserError(f"timm has no model {architecture!r}; see timm.list_models()")
        file = None if weights in (None, RANDOM) else weights
        if file is not None and not (Path(file).is_file() and file.endswith(".safetensors")):
            raise UserError(f"{file} is no .safetensors file; write timm:NAME, timm:NAME/FILE or timm:NAME/{RANDOM}")
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                self.tower = timm.create_model(
                    architecture,
                    pretrained=weights != RANDOM,
                    pretrained_cfg_overlay={"file": file} if file else None,
                    num_classes=0,
                )
        except (OSError, RuntimeError, SafetensorError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f"the weights of {self.name} could not be loaded ({reason})") from error
        self.tower.eval()
        config = resolve_model_data_config(self.tower)  # type: ignore[no-untyped-call]
        self._transform = create_transform(**config, is_training=False)
        self.image_size = int(config["input_size"][-1])
        with torch.inference_mode():  # some towers end wider than they say
            self.embed_dim = self.tower(torch.zeros(1, *config["input_size"])).shape[1]

    @property
    def device(self) -> torch.device:
        return next(self.tower.parameters()).device

    def preprocess(self, image: Image.Image) -> Tensor:
        """Apply the model's own evaluation transform: float tensor [3, S, S]."""
        pixels: Tensor = self._transform(image)
        return pixels

    def encode_image(self, images: Tensor, normalize: bool = True) -> Tensor:
        """Embed preprocessed images [B, 3, S, S] as [B, E]."""
        embeddings: Tensor = self.tower(images)
        return F.normalize(embeddings, dim=-1) if normalize else embeddings
