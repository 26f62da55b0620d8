"""The processes of a run, as `torchrun` starts them, and what they tell each other."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Ranks:
    """This process's number among `count`; it works on the rows of a global batch that are its own."""

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.rank == 0

    def rows(self, batch_size: int) -> range:
        """Return this rank's rows of a global batch, which must divide evenly."""
        own = batch_size // self.count
        return range(self.rank * own, (self.rank + 1) * own)

    def gather(self, own: Tensor) -> Tensor:
        """Return all ranks' rows of `own` [b, …], in order: [B, …]; the gradient goes back to its owner."""
        if self.count == 1:
            return own
        gathered: Tensor = _Gather.apply(own)
        return gathered

    def sum(self, own: Tensor) -> Tensor:
        """Return the sum over ranks of a tensor that needs no gradient."""
        if self.count == 1:
            return own
        total = own.detach().clone()
        dist.all_reduce(total)
        return total

    def any(self, own: bool, device: torch.device) -> bool:
        """Return whether it holds for any rank."""
        return bool(self.sum(torch.tensor(int(own), device=device)))

    def wait(self) -> None:
        """Wait until every rank has come here."""
        if self.count > 1:
            dist.barrier()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        ctx.own = len(own)
        parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, own.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # Every rank has a part of the loss, so each row's gradient is the sum of what all ranks found for it.
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total[dist.get_rank() * ctx.own :][: ctx.own]


@contextmanager
def join_ranks(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that `torchrun` started, if it did, for the length of the block."""
    if dist.is_initialized():  # by a caller that trains more than once
        yield Ranks(dist.get_rank(), dist.get_world_size())
        return
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Ranks()
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
