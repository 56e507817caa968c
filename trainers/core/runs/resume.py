"""How a killed run goes on: its state after the last finished epoch, plain values only, in resume.pt.

A file is one line, HEADER and the SHA-256 of all that follows it, and then what torch.save writes.
"""

import hashlib
import io
import random
from pathlib import Path
from typing import cast

import numpy as np
import torch

from upt_clip import distributed
from upt_clip.files import sync, write_atomically

from ..clip.loader import weights_sha256
from . import checkpoints
from .identity import check_backbone

NAMES = ("resume.pt", "resume.pt.previous")
HEADER = b"UPT resume point, SHA-256 "


def save(trainer, directory: Path, done: int) -> None:
    """Writes the state of a trainer that has finished `done` epochs; the one before stays as resume.pt.previous."""
    content = _dump(trainer, done)
    newest, previous = (directory / name for name in NAMES)
    write_atomically(newest, lambda path: path.write_bytes(_header(content) + content), previous)


def _dump(trainer, done: int) -> bytes:
    """All that decides how a trainer that has finished `done` epochs goes on."""
    state = {
        "epoch": done,
        "backbone_sha256": weights_sha256(trainer.clip_model),
        "learner": trainer.model.learner.state_dict(),
        "optimizer": trainer.optim.state_dict(),
        "scheduler": trainer.sched.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "best_result": float(trainer.best_result),
        "train_seconds": trainer.train_seconds,
        "rng": rng_state(),
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _load(content: bytes) -> dict:
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def restore(trainer, directory: Path) -> int | None:
    """Puts the newest undamaged state into the trainer, bit for bit; returns the epochs that are done, or None.

    Raises:
        ValueError: the run was started on other weights of the same name.
    """
    state = read(directory)
    if state is None:
        return None
    fix = "give MODEL.BACKBONE.NAME the weights that it was started on, or choose another OUTPUT_DIR"
    check_backbone(state["backbone_sha256"], trainer.clip_model, directory, fix)
    _put(state, trainer)
    return state["epoch"]


def follow_first(trainer, done: int) -> int:
    """Gives a trainer the state of the run's first process, where there are several; returns the epochs done there."""
    if distributed.world() == 1:
        return done
    state = _load(distributed.from_first(lambda: _dump(trainer, done)))
    if not distributed.is_first():
        _put(state, trainer)
    distributed.same_random_numbers()
    return state["epoch"]


def _put(state: dict, trainer) -> None:
    trainer.model.learner.load_state_dict(state["learner"])
    trainer.optim.load_state_dict(state["optimizer"])
    trainer.sched.load_state_dict(state["scheduler"])
    trainer.scaler.load_state_dict(state["scaler"])
    trainer.best_result, trainer.train_seconds = state["best_result"], state["train_seconds"]
    set_rng_state(state["rng"])


def read(directory: Path) -> dict | None:
    """The newest undamaged state of a directory, or None; a damaged one, and what is used instead, is said."""
    damaged = []
    for path in (directory / name for name in NAMES):
        if not path.is_file():
            continue
        header, _, content = path.read_bytes().partition(b"\n")
        if header + b"\n" != _header(content):
            damaged.append(path.name)
            continue
        state = _load(content)
        if damaged:
            print(f"Damaged {directory / damaged[0]} is passed over: {path.name} is used, of epoch {state['epoch']}")
        return state
    if damaged:
        print(f"Damaged {' and '.join(damaged)} in {directory}: the run goes on from Dassl's checkpoint or starts anew")
    return None


def _header(content: bytes) -> bytes:
    return HEADER + hashlib.sha256(content).hexdigest().encode() + b"\n"


def remove(directory: Path) -> None:
    """Removes the states of a run that is done, once Dassl's checkpoint, which holds all there is, is on the disk."""
    for path in (directory / checkpoints.FOLDER).glob("*"):
        sync(path)
    for name in NAMES:
        (directory / name).unlink(missing_ok=True)


def rng_state() -> dict:
    """The state of every random number generator that training draws from, as plain values and tensors."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = cast(tuple, np.random.get_state())
    state = {
        "python": [version, list(words), gauss],
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_rng_state(state: dict) -> None:
    """Inverse of `rng_state`."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
