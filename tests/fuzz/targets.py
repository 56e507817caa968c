"""What the fuzzer calls: the readers of files from strangers. Whatever the bytes are, a reader returns or says in one
line, with the file's name, why it does not."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save

from upt_clip.config_files import read_yaml
from upt_clip.datasets.split import read_split
from upt_clip.trainers.core.runs import checkpoints
from upt_clip.trainers.core.runs.run_reader import read_prompts

TENSORS = {"ctx": torch.arange(8.0).view(2, 4)}


def _dassl(**more) -> bytes:
    """A checkpoint in Dassl's layout."""
    buffer = io.BytesIO()
    torch.save({"state_dict": dict(TENSORS), "epoch": 2, **more}, buffer)
    return buffer.getvalue()


def _published() -> bytes:
    """A checkpoint with live objects beside its tensors, as CoOp's."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=0.1)
    return _dassl(scheduler={"successor": torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 2)})


def _pickle_of(archive: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        (name,) = [name for name in file.namelist() if name.endswith("/data.pkl")]
        return file.read(name)


def read_pickle(path: Path) -> None:
    """Reads a checkpoint whose pickle is the file: its archive has no checksum for the fuzzer to break its teeth on."""
    archive = path.with_suffix(".zip")
    with zipfile.ZipFile(io.BytesIO(_dassl())) as old, zipfile.ZipFile(archive, "w") as new:
        for name in old.namelist():
            new.writestr(name, path.read_bytes() if name.endswith("/data.pkl") else old.read(name))
    try:
        checkpoints.read(archive)
    except ValueError as error:
        raise ValueError(str(error).replace(str(archive), str(path))) from error


SPLIT = {"train": [["a/1.jpg", 0, "cat"], ["b/1.jpg", 1, "dog"]], "val": [], "test": [["b/2.jpg", 1, "dog"]]}
CONFIG = b"OPTIM:\n  LR: 0.002\n  NAME: sgd\nINPUT: {SIZE: (32, 32), TRANSFORMS: [normalize]}\nSEED: 1\n"
FACTS = {"upt": json.dumps({"classnames": ["cat", "dog"], "backbone_sha256": "0" * 64})}

# target -> its reader, and files to start from
TARGETS: dict[str, tuple[Callable[[Path], object], list[bytes]]] = {
    "split": (read_split, [json.dumps(SPLIT).encode(), b'{"test": []}', b"[1, null, true, 1e9]"]),
    "config": (read_yaml, [CONFIG, b"a: &x {b: 1}\nc: *x\n", b"? [1, 2]\n: {1: 2}\n"]),
    "checkpoint": (checkpoints.read, [_dassl(), _published(), b"\x80\x02}q\x00."]),
    "pickle": (read_pickle, [_pickle_of(_dassl()), _pickle_of(_published()), b"\x80\x02cposix\nsystem\n."]),
    "prompts": (read_prompts, [save(TENSORS, FACTS), save(TENSORS)]),
}


def check(target: str, content: bytes, folder: Path) -> None:
    """Raises if the reader of the target does anything with this file but return or say what is wrong with it."""
    path = folder / "input"
    path.write_bytes(content)
    try:
        TARGETS[target][0](path)
    except (ValueError, FileNotFoundError) as error:
        assert str(path) in str(error) and "\n" not in str(error), error
