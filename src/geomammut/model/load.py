"""`load_model`: one call for our models, openMaMMUT's and open_clip's; our model directory (DESIGN §4)."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from geomammut.errors import UserError
from geomammut.files import whole_file, write_json
from geomammut.model import openmammut
from geomammut.model.config import MammutConfig
from geomammut.model.interface import ImageEncoder, VisionLanguageModel
from geomammut.model.mammut import Mammut
from geomammut.model.tokenizer import ClipTokenizer, SentencePieceTokenizer, Tokenizer, named_tokenizer

CONFIG, WEIGHTS = "config.json", "model.safetensors"
TOKENIZERS = (Tokenizer.name, SentencePieceTokenizer.name, ClipTokenizer.name)
NEEDED_FILES = [CONFIG, WEIGHTS, *TOKENIZERS[:2], openmammut.CONFIG, openmammut.WEIGHTS]


def load_model(name: str | os.PathLike[str], device: str = "cpu") -> VisionLanguageModel:
    """Load a model for evaluation.

    Args:
        name: A model directory (ours, or openMaMMUT's), a hub id of either; `open_clip:NAME/TAG`,
            `open_clip:NAME/FILE` or `open_clip:FOLDER`; `transformers:FOLDER` or a hub id of SigLIP 2.
        device: Where PyTorch is to put it: "cpu", "cuda", "cuda:1".

    Raises:
        UserError: It cannot be found, or is not what it should be.
    """
    text = str(name)
    if text.startswith("open_clip:"):
        from geomammut.model.open_clip_model import OpenClipModel  # noqa: PLC0415 (slow to import)

        return OpenClipModel(text.removeprefix("open_clip:")).to(device)
    if text.startswith("transformers:"):
        from geomammut.model.transformers_model import TransformersModel  # noqa: PLC0415 (slow to import)

        return TransformersModel(text.removeprefix("transformers:")).to(device)
    return load_mammut(name).to(device)


def load_image_encoder(name: str | os.PathLike[str], device: str = "cpu") -> ImageEncoder:
    """Load what embeds images: any model of `load_model`, or one of timm's.

    Args:
        name: As for `load_model`, or `timm:NAME` (the hub's weights), `timm:NAME/FILE.safetensors`,
            `timm:NAME/random`.
        device: Where PyTorch is to put it.

    Raises:
        UserError: It cannot be found, or is not what it should be.
    """
    text = str(name)
    if text.startswith("timm:"):
        from geomammut.model.timm_encoder import TimmEncoder  # noqa: PLC0415 (slow to import)

        architecture, _, weights = text.removeprefix("timm:").partition("/")
        return TimmEncoder(architecture, weights or None).to(device)
    return load_model(name, device)


def load_mammut(name: str | os.PathLike[str]) -> Mammut:
    """Load a MaMMUT model, ours or openMaMMUT's, from a folder or a hub; see `load_model`."""
    folder = Path(name)
    if not folder.is_dir():
        folder = _download(str(name))
    if (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file():
        return _read_model(folder, str(name))
    if openmammut.is_openmammut(folder):
        return openmammut.read_openmammut(folder, str(name))
    raise UserError(f"{name} is no model directory: it lacks {CONFIG} and {WEIGHTS}")


def _download(name: str) -> Path:
    looks_like_hub_id = name.count("/") == 1 and not name.startswith((".", "/", "~"))
    if not looks_like_hub_id:
        raise UserError(f"no model at {name}: give a model directory, a hub id, or open_clip:NAME/TAG")
    try:
        return Path(snapshot_download(name, allow_patterns=NEEDED_FILES))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"no model at {name}: there is no such folder, and the hub gave none ({type(error).__name__})"
        ) from error


def _read_model(folder: Path, name: str) -> Mammut:
    config = MammutConfig.read(folder / CONFIG)
    if config.tokenizer not in TOKENIZERS:
        raise UserError(
            f"{folder / CONFIG}: tokenizer must be one of {', '.join(TOKENIZERS)}, not {config.tokenizer!r}"
        )
    where = config.tokenizer if config.tokenizer == ClipTokenizer.name else str(folder / config.tokenizer)
    model = Mammut(config, named_tokenizer(where, config.text.context_length), name)
    try:
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (SafetensorError, OSError) as error:
        raise UserError(f"{folder / WEIGHTS} cannot be read ({error})") from error
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise UserError(f"{folder / WEIGHTS} does not fit {CONFIG}: {reason}") from error
    return model.eval()


def save_model(model: Mammut, folder: Path, weights: Mapping[str, Tensor] | None = None) -> None:
    """Write a model directory: `config.json`, `tokenizer.json`, and `model.safetensors` last.

    `weights` stand in for the model's own, under the names of its state dict.
    """
    write_json(folder / CONFIG, model.config.model_dump(mode="json"))
    if model.config.tokenizer != ClipTokenizer.name:
        model.tokenizer.write(folder / model.config.tokenizer)
    state = model.state_dict() if weights is None else weights
    whole = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    with whole_file(folder / WEIGHTS) as partial:
        save_file(whole, partial, metadata={"format": "pt"})


def model_info(model: str, *, seed: int = 0) -> dict[str, Any]:
    """Return what a model is: name, image size, embedding size, parameters by part, configuration.

    `seed` is there because every verb has it; nothing here is random.
    """
    loaded = load_model(model)
    parts: dict[str, int] = {}
    for name, parameter in loaded.named_parameters():
        part = name.split(".")[0]
        parts[part] = parts.get(part, 0) + parameter.numel()
    info: dict[str, Any] = {
        "model": loaded.name,
        "kind": type(loaded).__name__,
        "image_size": loaded.image_size,
        "embed_dim": loaded.embed_dim,
        "logit_scale": round(loaded.logit_scale, 4),
        "parameters": sum(parts.values()),
        "parameters_by_part": parts,
    }
    if isinstance(loaded, Mammut):
        info["config"] = loaded.config.model_dump(mode="json")
    return info


def model_export(source: str, out: Path, *, seed: int = 0) -> Path:
    """Write the MaMMUT model `source` as the folder `out` in openMaMMUT's layout, for LAION's open_clip_mammut.

    `seed` is there because every verb has it; nothing here is random.

    Raises:
        UserError: `source` is no MaMMUT model, has a part that openMaMMUT has not, or `out` already holds a model.
    """
    if (out / openmammut.WEIGHTS).exists():
        raise UserError(f"{out} already holds a model; choose another folder or remove it first")
    openmammut.write_openmammut(load_mammut(source), out)
    return out


def model_push(model: Path, repository: str, *, private: bool = False, seed: int = 0) -> str:
    """Upload a model directory to the hub as `repository` ("owner/name"), and return its address.

    The hub's own token is used (`hf auth login`, or HF_TOKEN). `load_model(repository)` then gives it back.
    `seed` is there because every verb has it; nothing here is random.

    Raises:
        UserError: `model` is no model directory, or the hub refuses.
    """
    load_mammut(model)
    hub = HfApi()
    try:
        address = hub.create_repo(repository, private=private, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=model, allow_patterns=[*NEEDED_FILES, "*.md"])
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        raise UserError(f"the hub did not take {repository} ({' '.join(str(error).split())[:200]})") from error
    return str(address)


def model_import(source: str, out: Path, *, seed: int = 0) -> Path:
    """Write the MaMMUT model `source` (an openMaMMUT folder or hub id, or ours) as a model directory `out`.

    `seed` is there because every verb has it; nothing here is random.

    Raises:
        UserError: `source` is no MaMMUT model, or `out` already holds a model.
    """
    if (out / WEIGHTS).exists():
        raise UserError(f"{out} already holds a model; choose another folder or remove it first")
    save_model(load_mammut(source), out)
    return out
