"""How a killed run goes on: its state after the last finished epoch, plain values only, in resume.pt."""

import os
import random
import shutil
from pathlib import Path

import numpy as np
import torch

from .run_dir import write_atomically

NAMES = ("resume.pt", "resume.pt.previous")


def save(trainer, directory: Path) -> None:
    """Writes the state of a trainer that has finished an epoch; the one before it stays as resume.pt.previous."""
    state = {
        "epoch": trainer.epoch + 1,
        "learner": trainer.model.learner.state_dict(),
        "optimizer": trainer.optim.state_dict(),
        "scheduler": trainer.sched.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "best_result": float(trainer.best_result),
        "train_seconds": trainer.train_seconds,
        "rng": rng_state(),
    }
    newest, previous = (directory / name for name in NAMES)
    if newest.is_file():
        shutil.copyfile(newest, previous.with_suffix(".tmp"))
        os.replace(previous.with_suffix(".tmp"), previous)
    write_atomically(newest, lambda temporary: torch.save(state, temporary))


def restore(trainer, directory: Path) -> int | None:
    """Puts the newest readable state into the trainer, bit for bit; returns the epochs that are done, or None."""
    state = read(directory)
    if state is None:
        return None
    trainer.model.learner.load_state_dict(state["learner"])
    trainer.optim.load_state_dict(state["optimizer"])
    trainer.sched.load_state_dict(state["scheduler"])
    trainer.scaler.load_state_dict(state["scaler"])
    trainer.best_result, trainer.train_seconds = state["best_result"], state["train_seconds"]
    set_rng_state(state["rng"])
    return state["epoch"]


def read(directory: Path) -> dict | None:
    """The newest readable state of a directory, or None; a damaged one is said in one line."""
    for path in (directory / name for name in NAMES):
        if not path.is_file():
            continue
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a truncated archive raises almost anything
            print(f"Damaged {path} is passed over ({str(error).splitlines()[0][:100]})")
    return None


def remove(directory: Path) -> None:
    """Removes the states of a run that is done: Dassl's checkpoint holds all there is."""
    for name in NAMES:
        (directory / name).unlink(missing_ok=True)


def rng_state() -> dict:
    """The state of every random number generator that training draws from, as plain values and tensors."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()
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
