"""The model that a run begins with."""

import math
from collections.abc import Mapping

import torch
from rich.markup import escape
from torch import Tensor

from geomammut.model.config import MammutConfig
from geomammut.model.load import load_mammut
from geomammut.model.mammut import Mammut
from geomammut.model.pretrained import assemble, pretrained_text, pretrained_vision, resized
from geomammut.model.sizes import text_of_size, vision_of_size
from geomammut.model.tokenizer import Tokenizer, named_tokenizer
from geomammut.pairs.pair_set import PairSet
from geomammut.progress import console
from geomammut.training.recipe import Recipe

_HALF, _QUARTER = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)  # mean and deviation taken for pixels of a new tower


def start_model(plan: Recipe, sets: Mapping[str, PairSet]) -> Mammut:
    """Return the model that a recipe begins with; what it draws at random follows torch's seed.

    Raises:
        UserError: There is no such model, tower or tokenizer.
    """
    part = plan.model
    if part.start_from is not None:
        model = load_mammut(part.start_from)
        return model if part.image_size is None else resized(model, part.image_size)
    weights: dict[str, Tensor] = {}
    vision = part.vision if part.size is None else vision_of_size(part.size)
    mean, std = _HALF, _QUARTER
    if part.vision_from is not None:
        tower = pretrained_vision(part.vision_from, part.image_size)
        vision, mean, std = tower.config, tower.mean, tower.std
        weights |= {f"visual.{name}": value for name, value in tower.weights.items()}
    elif part.image_size is not None:
        vision = type(vision).model_validate(vision.model_dump() | {"image_size": part.image_size})
    text = part.text if part.size is None else text_of_size(part.size)
    if part.text_from is not None:
        decoder = pretrained_text(part.text_from)
        text, tokenizer, tokenizer_name = decoder.config, decoder.tokenizer, decoder.tokenizer_name
        weights |= decoder.weights
    else:
        tokenizer = _tokenizer(plan, sets, text.context_length)
        tokenizer_name = tokenizer.name
        sizes = {"vocab_size": tokenizer.vocab_size, "start_token": tokenizer.start, "end_token": tokenizer.end}
        text = text.model_copy(update=sizes)
    config = MammutConfig(vision=vision, text=text, tokenizer=tokenizer_name, mean=mean, std=std)
    model, new = assemble(config, tokenizer, weights)
    if weights:
        console.print(f"begun anew: {escape(', '.join(new))}")
    with torch.no_grad():
        # Each loss's authors' start: temperature 1 (MaMMUT §3.1); 10 and -10 (SigLIP §3.2); 1 / 0.07 (CLIP).
        start = {"focal": (1.0, 0.0), "siglip": (10.0, -10.0), "infonce": (1 / 0.07, 0.0)}
        scale, bias = start[plan.loss.contrastive]
        model.log_logit_scale.fill_(math.log(scale))
        model.logit_bias.fill_(bias)
    return model


def _tokenizer(plan: Recipe, sets: Mapping[str, PairSet], context_length: int) -> Tokenizer:
    if plan.model.tokenizer != "trained":
        return named_tokenizer(plan.model.tokenizer, context_length)
    used = sorted({name for stage in plan.stages for name in stage.mix})
    captions = (caption for name in used for own in sets[name].captions for caption in own)
    return Tokenizer.train(captions, plan.model.vocab_size, context_length)
