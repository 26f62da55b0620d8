"""One training step, exact over micro-batches and over the processes of a run."""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from geomammut.errors import UserError
from geomammut.files import content_id
from geomammut.model.mammut import Mammut
from geomammut.model.vision import ImageTokens
from geomammut.training.data import Batch
from geomammut.training.losses import Contrast, contrastive_costs
from geomammut.training.optimizer import freeze, new_optimizer
from geomammut.training.ranks import Ranks
from geomammut.training.recipe import Recipe
from geomammut.training.training_pass import Passed, TrainingPass

# A term added to a step's loss, given the model, the samples and the image tower's tokens: a mean over them.
ExtraLoss = Callable[[Mammut, Batch, ImageTokens], Tensor]


@dataclass
class Learner:
    """A model as it learns.

    Attributes:
        model: With its parameters on their device; under FSDP each holds this rank's share of them.
        passing: `TrainingPass` of it, wrapped for its ranks.
        optimizer: See `new_optimizer`.
        average: Name → running mean of a parameter; empty where the recipe keeps none.
    """

    model: Mammut
    passing: nn.Module
    optimizer: torch.optim.AdamW
    average: dict[str, Tensor]
    plan: Recipe
    ranks: Ranks

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Return what lowers the precision of a forward pass, as the recipe says."""
        device = self.model.device
        lower = self.plan.precision == "bfloat16" or (self.plan.precision == "auto" and bfloat16_is_fast(device))
        return torch.autocast(device.type, torch.bfloat16) if lower else contextlib.nullcontext()


def new_learner(model: Mammut, plan: Recipe, ranks: Ranks | None = None) -> Learner:
    """Make a model, on its device, ready for `train_step`."""
    ranks = ranks or Ranks()
    freeze(model, plan.optimizer, plan.loss)
    blocks = [*model.visual.blocks, *model.text.resblocks, *model.text.cross_attn]
    for block in blocks:
        if plan.compile:
            block.compile(dynamic=True)
        if plan.recompute:
            block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)
    passing: nn.Module = TrainingPass(model, plan.loss)
    if ranks.count > 1 and plan.parallel == "fsdp":
        for block in blocks:
            fully_shard(block)
        # FSDP2 shards no scalars; their gradients are summed by hand.
        fully_shard(passing, ignored_params={model.log_logit_scale, model.logit_bias})
    elif ranks.count > 1:
        passing = DistributedDataParallel(passing)
    average = (
        {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        if plan.optimizer.average
        else {}
    )
    return Learner(model, passing, new_optimizer(model, plan.optimizer), average, plan, ranks)


def train_step(learner: Learner, batch: Batch, extra_loss: ExtraLoss | None = None) -> dict[str, float]:
    """Take one optimizer step on this rank's rows of a batch; return what the whole batch gave.

    The gradient is that of the loss of the whole batch: embeddings are gathered over ranks, and those of
    micro-batches kept while their activations are not (GradCache, Gao et al. 2021, arXiv 2101.06983).

    Returns:
        `loss`, its terms (`contrastive`, `caption`, `extra`), the first two also as `TERM/SOURCE` where there are
        several sources, `gradient_norm` before clipping, `logit_scale`, `lr`.

    Raises:
        UserError: The loss is no longer finite.
    """
    model, ranks, optimizer = learner.model, learner.ranks, learner.optimizer
    optimizer.zero_grad(set_to_none=True)
    figures = _backward(learner, batch, extra_loss)
    if not math.isfinite(figures["loss"]):
        raise UserError("the loss is no longer finite; lower optimizer.lr in the recipe and train again")
    if isinstance(learner.passing, FSDPModule):
        for scalar in (model.log_logit_scale, model.logit_bias):
            if scalar.grad is not None:
                scalar.grad = ranks.sum(scalar.grad) / ranks.count
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), learner.plan.optimizer.clip_norm)
    optimizer.step()
    with torch.no_grad():
        model.log_logit_scale.clamp_(0.0, math.log(100.0))
        for name, parameter in model.named_parameters() if learner.average else ():
            decay = learner.plan.optimizer.average
            learner.average[name].mul_(decay).add_(parameter, alpha=1 - decay)
    whole_norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
    return figures | {
        "gradient_norm": round(float(whole_norm), 6),
        "logit_scale": round(model.logit_scale, 4),
        "lr": max(group["lr"] for group in optimizer.param_groups),
    }


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether bfloat16 products have hardware: any CUDA device; on a CPU, AMX or AVX512-BF16."""
    if device.type == "cuda":
        return True
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def _backward(learner: Learner, batch: Batch, extra_loss: ExtraLoss | None) -> dict[str, float]:
    """Leave the gradient of the whole batch's loss on the parameters, and return the loss and its terms."""
    model, ranks, part = learner.model, learner.ranks, learner.plan.loss
    device, count = model.device, len(batch.captions)
    images = batch.images.to(device, non_blocking=True)
    tokens = model.tokenizer(batch.captions).to(device)
    labels = model.text.valid(tokens)[:, 1:].sum(dim=1)
    all_labels = ranks.sum(labels.sum())
    micro = learner.plan.micro_batch or count
    pieces = [slice(start, start + micro) for start in range(0, count, micro)]
    at_once = len(pieces) == 1

    def passed(piece: slice, captions: bool = True) -> Passed:
        with learner.autocast():
            looks = [None if look is None else look[piece].to(device) for look in (batch.kept, batch.boxes)]
            result: Passed = learner.passing(images[piece], tokens[piece], *looks, captions)
        return result

    found: list[Passed] = []
    contrast_costs = gradients = None
    if part.contrastive_weight:
        with contextlib.nullcontext() if at_once else torch.no_grad():
            found = [passed(piece, captions=at_once) for piece in pieces]
        contrast_costs, gradients = _contrast(learner, found, batch.captions)
    caption_costs, extras = [], []
    for number, piece in enumerate(pieces):
        last = number + 1 == len(pieces)
        with _synchronized(learner.passing, last):
            own = found[0] if at_once and found else passed(piece)
            total = own.image_tokens.last.new_zeros((), dtype=torch.float32)
            if gradients is not None and own.images is not None and own.texts is not None:
                total = (
                    total + (own.images * gradients.images[piece]).sum() + (own.texts * gradients.texts[piece]).sum()
                )
                if last:  # once, and where DDP waits for every parameter
                    total = total + own.scale * gradients.scale + own.bias * gradients.bias
            if own.caption_costs is not None:
                total = total + part.caption_weight * own.caption_costs.sum() / all_labels
                caption_costs.append(own.caption_costs.detach())
            if extra_loss is not None:
                rows = batch.rows(piece)
                with learner.autocast():
                    extra = extra_loss(model, rows, own.image_tokens)
                share = len(rows.captions) / (count * ranks.count)
                total = total + extra * share
                extras.append(extra.detach() * share)
            # DDP and FSDP2 take the mean over ranks; each rank has but a part of the loss.
            (total * ranks.count).backward()  # type: ignore[no-untyped-call]
    return _figures(learner, batch.sources, labels, contrast_costs, caption_costs, extras)


class _Gradients(NamedTuple):
    """Of the weighted contrastive loss, by images [b, E], texts [b, E], scale and bias."""

    images: Tensor
    texts: Tensor
    scale: Tensor
    bias: Tensor


def _contrast(learner: Learner, found: Sequence[Passed], captions: Sequence[str]) -> tuple[Tensor, _Gradients]:
    """Compare this rank's embeddings with all ranks'; return the costs of its rows [b] and the gradients."""
    part, ranks = learner.plan.loss, learner.ranks
    images = torch.cat([piece.images for piece in found if piece.images is not None])
    texts = torch.cat([piece.texts for piece in found if piece.texts is not None])
    leaves = [leaf.detach().requires_grad_() for leaf in (images, texts, found[0].scale, found[0].bias)]
    images, texts, scale, bias = leaves
    own = caption_keys(captions).to(images.device)
    same = own[:, None] == ranks.gather(own)[None, :]
    contrast = Contrast(images, texts, ranks.gather(images), ranks.gather(texts), same)
    costs = contrastive_costs(contrast, part, scale, bias)
    gradients = torch.autograd.grad(
        part.contrastive_weight * costs.sum(), leaves, allow_unused=True, materialize_grads=True
    )
    return costs.detach(), _Gradients(*gradients)


def caption_keys(captions: Sequence[str]) -> Tensor:
    """Return a number [b] for each caption, the same for equal ones in every process."""
    return torch.tensor([int(content_id(caption)[:15], 16) for caption in captions])


@contextlib.contextmanager
def _synchronized(passing: nn.Module, last: bool) -> Iterator[None]:
    """Let gradients be exchanged at the `last` backward pass of a step alone."""
    if isinstance(passing, FSDPModule):
        passing.set_requires_gradient_sync(last)
        yield
    elif isinstance(passing, DistributedDataParallel) and not last:
        with passing.no_sync():
            yield
    else:
        yield


def _figures(
    learner: Learner,
    sources: Sequence[str],
    labels: Tensor,
    contrast_costs: Tensor | None,
    caption_costs: Sequence[Tensor],
    extras: Sequence[Tensor],
) -> dict[str, float]:
    """Return the loss of the whole batch, its terms, and those by source."""
    part, names = learner.plan.loss, sorted(learner.plan.pairs)
    owners = torch.tensor([names.index(source) for source in sources], device=labels.device)
    none = torch.zeros(len(sources), device=labels.device)
    rows = torch.stack(
        [
            (none if contrast_costs is None else contrast_costs).double(),
            (torch.cat(list(caption_costs)) if caption_costs else none).double(),
            labels.double(),
            torch.ones_like(none).double(),
        ]
    )
    sums = rows.new_zeros(4, len(names) + 1).index_add(1, owners, rows)
    sums[0, -1] = sum(extras, none.sum()).double()
    sums = learner.ranks.sum(sums).cpu()
    contrastive, caption, tokens, samples = sums[:, :-1]
    terms = {}
    if part.contrastive_weight:
        terms["contrastive"] = float(contrastive.sum())
    if part.caption_weight:
        terms["caption"] = float(caption.sum() / tokens.sum())
    if extras:
        terms["extra"] = float(sums[0, -1])
    weights = {"contrastive": part.contrastive_weight, "caption": part.caption_weight}
    loss = sum(weights.get(name, 1.0) * term for name, term in terms.items())
    present = [number for number in range(len(names)) if samples[number] > 0]
    by_source = {}
    for number in present if len(present) > 1 else ():
        if part.contrastive_weight:
            by_source[f"contrastive/{names[number]}"] = float(contrastive[number] * samples.sum() / samples[number])
        if part.caption_weight:
            by_source[f"caption/{names[number]}"] = float(caption[number] / tokens[number].clamp(min=1))
    return {name: round(value, 6) for name, value in (terms | {"loss": loss} | by_source).items()}
