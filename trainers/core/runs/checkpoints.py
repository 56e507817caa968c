"""Finding, reading and checking checkpoints in Dassl's layout."""

import contextlib
import operator
import pickle
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from ..clip import archive

FOLDER = "prompt_learner"  # where CoOp's users and tools look for Dassl's checkpoints
STALE_BUFFERS = ("token_prefix", "token_suffix")  # CoOp's own checkpoints hold these class-dependent tensors


@contextlib.contextmanager
def disk_errors(directory: Path) -> Iterator[None]:
    """Turns the RuntimeError with which torch.save ends on a full disk into an OSError that says so."""
    try:
        yield
    except RuntimeError as error:
        free = shutil.disk_usage(directory).free / 2**20
        reason = str(error).splitlines()[0][:100]
        raise OSError(f"cannot write a checkpoint to {directory}, which has {free:.1f} MB left ({reason})") from error


def find(folder: Path, epoch: int | None = None) -> Path:
    """model-best.pth.tar, or that of an epoch; without an epoch and a best one, the last one saved, which is said.

    Raises:
        FileNotFoundError: no such file; the message lists what is there.
    """
    if epoch is not None:
        path = folder / f"model.pth.tar-{epoch}"
    elif (folder / "model-best.pth.tar").is_file():
        path = folder / "model-best.pth.tar"
    elif (folder / "checkpoint").is_file():
        path = folder / Path((folder / "checkpoint").read_text().strip()).name
        print(f"No model-best.pth.tar in {folder}: the last one saved is taken, {path.name}")
    else:
        path = folder / "model-best.pth.tar"
    if not path.is_file():
        there = ", ".join(sorted(p.name for p in folder.glob("model*"))) or "nothing"
        raise FileNotFoundError(f'Model not found at "{path}" (there: {there}); see --model-dir and --load-epoch')
    return path


def read(path: Path) -> tuple[dict[str, torch.Tensor], int]:
    """The learner's tensors and the number of finished epochs; no object that the file names is made.

    Raises:
        ValueError: the file is damaged or no checkpoint.
    """
    try:
        archive.check(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's remarks on odd files, beside the one line that they end in
            try:
                checkpoint = torch.load(path, map_location="cpu", weights_only=True)
            except pickle.UnpicklingError:  # objects beside the tensors
                checkpoint = archive.load(path)
        if not isinstance(checkpoint, dict):
            raise ValueError(f"it holds a {type(checkpoint).__name__}, no dictionary")
        state = {name.removeprefix("module."): tensor for name, tensor in checkpoint["state_dict"].items()}
        epoch = operator.index(checkpoint["epoch"])
    except Exception as error:  # damaged archives raise almost anything
        reason = f"no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise ValueError(f"cannot read the checkpoint {path} ({reason.splitlines()[0][:200]})") from error
    tensors = {name: tensor for name, tensor in state.items() if name not in STALE_BUFFERS}
    check_tensors(tensors, path)
    return tensors, epoch


def check_tensors(tensors: dict[str, object], source: Path) -> None:
    """Raises ValueError unless all are plain tensors of finite numbers."""
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point() or tensor.layout != torch.strided:
            kind = getattr(tensor, "dtype", type(tensor).__name__)
            raise ValueError(f"{source} is no checkpoint of this project: {name} is {kind}, no tensor of real numbers")
        if not tensor.float().isfinite().all():
            raise ValueError(f"{source} is of no use: {name} holds NaN or infinite numbers")


def differences(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> list[str]:
    """A line for each tensor that is missing, superfluous or of another shape."""
    shapes = [{name: tuple(tensor.shape) for name, tensor in state.items()} for state in (found, wanted)]
    return [
        f"{name} is {shapes[0].get(name, 'missing')}, expected {shapes[1].get(name, 'absent')}"
        for name in sorted(shapes[0].keys() | shapes[1].keys())
        if shapes[0].get(name) != shapes[1].get(name)
    ]


def load_into(learner: nn.Module, tensors: dict[str, torch.Tensor], source: Path, what: str) -> None:
    """Loads the tensors of the file `source`; ValueError if `learner` has others, which names `what` it is of."""
    if wrong := differences(tensors, learner.state_dict()):
        raise ValueError(
            f"{source} does not fit {what} with this config: {'; '.join(wrong[:4])}{'; ...' if len(wrong) > 4 else ''}"
        )
    learner.load_state_dict(tensors)
