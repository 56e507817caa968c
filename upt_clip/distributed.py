"""One run on several processes that `torchrun` starts, with the batches and the result of one process.

Every process draws the same random numbers and makes the same batches; each puts its share of a batch through the
model, and DistributedDataParallel averages the gradients. In a test each takes a part of the pictures. The first
process alone prints and keeps files: the others write to a temporary folder and throw their words away.
"""

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Sampler, SequentialSampler
from yacs.config import CfgNode

T = TypeVar("T")


def start(cfg: CfgNode) -> CfgNode:
    """Joins the processes if torchrun started several; the config for this one.

    Raises:
        ValueError: the run has no seed, or there are fewer GPUs than processes.
    """
    if not dist.is_torchelastic_launched() or int(os.environ["WORLD_SIZE"]) == 1:
        return cfg
    if cfg.SEED < 0:
        raise ValueError("several processes need a --seed, so that all of them draw the same pictures and numbers")
    if not dist.is_initialized():
        if torch.cuda.is_available() and cfg.USE_CUDA:
            _take_gpu(int(os.environ["LOCAL_RANK"]))
            dist.init_process_group("cpu:gloo,cuda:nccl")
        else:
            dist.init_process_group("gloo")
        atexit.register(dist.destroy_process_group)
    if is_first():
        print(f"{world()} processes share every batch")
        return cfg
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (until the process ends)
    # no TemporaryDirectory: where Python 3.13 forks a worker, it forgets the functions for the exit, and with the last
    # hold on the object the folder would go
    folder = tempfile.mkdtemp(prefix="upt-process-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    cfg = cfg.clone()
    cfg.defrost()
    cfg.OUTPUT_DIR, cfg.RESUME = folder, ""  # what is resumed comes from the first process
    cfg.freeze()
    return cfg


def _take_gpu(number: int) -> None:
    if number >= torch.cuda.device_count():
        raise ValueError(f"torchrun started more processes than there are GPUs ({torch.cuda.device_count()})")
    torch.cuda.set_device(number)


def world() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    return rank() == 0


def from_first(make: Callable[[], T]) -> T:
    """What `make` returns in the first process, in all of them."""
    if world() == 1:
        return make()
    content: list[Any] = [make() if is_first() else None]
    dist.broadcast_object_list(content)
    return content[0]


# -- training ---------------------------------------------------------------------------------------------------------


def parallel(model: nn.Module) -> nn.Module:
    """The model, whose gradients are averaged over the processes if it is called through what this returns."""
    if world() == 1 or not any(p.requires_grad for p in model.parameters()):
        return model
    return DistributedDataParallel(model, broadcast_buffers=False)


def share(batch: dict) -> dict:
    """This process's part of a training batch, with the `weight` of its mean loss in the mean over the processes.

    Raises:
        ValueError: there are fewer pictures than processes.
    """
    if world() == 1:
        return batch
    n = len(batch["label"])
    mine = part(n, "a training batch", "DATALOADER.TRAIN_X.BATCH_SIZE")
    return {name: values[mine] for name, values in batch.items()} | {"weight": len(range(n)[mine]) * world() / n}


def mean(numbers: Tensor) -> Tensor:
    """The mean over the processes."""
    if world() > 1:
        dist.all_reduce(numbers)
        numbers = numbers / world()
    return numbers


def check_same(tensors: Iterable[Tensor]) -> None:
    """Raises ValueError unless the tensors are the same in all processes."""
    if world() == 1:
        return
    digest = torch.stack([tensor.detach().double().sum() for tensor in tensors]).cpu()
    found = [torch.empty_like(digest) for _ in range(world())]
    dist.all_gather(found, digest)
    if not all(torch.equal(other, digest) for other in found):
        raise ValueError(
            "the processes have learned different things: a forward_backward of its own must call "
            "accumulate.backward or self.parallel, which average the gradients"
        )


def same_random_numbers() -> None:
    """Every GPU goes on with the random numbers of the first process's; for the CPU a resume point sees to that."""
    if world() > 1 and torch.cuda.is_available():
        torch.cuda.set_rng_state(from_first(torch.cuda.get_rng_state))


# -- tests ------------------------------------------------------------------------------------------------------------


def part(n: int, what: str, key: str = "--nproc_per_node") -> slice:
    """This process's part of n rows: contiguous, in the order of the processes, of sizes that differ by one at most.

    Raises:
        ValueError: it would be empty.
    """
    if n < world():
        raise ValueError(f"{what} has {n} pictures for {world()} processes: change {key}")
    return slice(n * rank() // world(), n * (rank() + 1) // world())


class Part(Sampler):
    """The indices of this process's part of the pictures, in order."""

    def __init__(self, n: int):
        rows = part(n, "a test or val list")
        self.indices = range(rows.start, rows.stop)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)


def test_sampler(stock: DataLoader) -> Iterable[int]:
    """The order in which this process goes through a test list.

    Raises:
        ValueError: the list is not gone through in order.
    """
    if world() == 1:
        return stock.sampler
    if not isinstance(stock.sampler, SequentialSampler):
        raise ValueError("several processes test in order: leave DATALOADER.TEST.SAMPLER SequentialSampler")
    return Part(len(stock.sampler))


def gather(rows: Tensor, n: int) -> Tensor:
    """All n rows in order, of which each process gives its part."""
    sizes = [n * (r + 1) // world() - n * r // world() for r in range(world())]
    padded = rows.new_zeros(max(sizes), *rows.shape[1:])
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    return torch.cat([piece[:size] for piece, size in zip(parts, sizes, strict=True)])
