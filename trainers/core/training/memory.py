"""A training step within the memory there is: the text tower in chunks of classes, towers computed again in the
backward pass, and what to set where that does not do. On a CPU, freed memory is kept for the next step."""

import contextlib
import ctypes
import math
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from ..clip.prompted_clip import PromptedCLIP

# Numbers of the tower's width that a block keeps for each token while CLIP is frozen: its two inputs, q, k, v, the
# mixed values, the MLP's hidden layer (4), and some room; in text also keys and values with the shared prefix.
KEPT_IMAGE, KEPT_TEXT = 11, 16
SHARE = 0.8  # of the free memory; the rest is for the data path and for what one block needs for itself
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's mallopt(3)


class Plan(NamedTuple):
    """Classes that the text tower takes at once, and which towers' activations are computed again, not kept."""

    text_chunk: int
    recompute_text: bool
    recompute_image: bool


def fit_to_memory(model: PromptedCLIP, cfg, device: torch.device) -> None:
    """Sets a model on the device up for training as TRAINER.TEXT_CHUNK and TRAINER.CHECKPOINT say.

    What they leave open (0, "auto") is chosen by the free memory; a choice other than to keep all is said in one line.
    """
    options, n_classes = cfg.TRAINER, len(model.names)
    batch = math.ceil(cfg.DATALOADER.TRAIN_X.BATCH_SIZE / options.ACCUMULATE)
    text, image = activation_bytes(model, batch)
    free = free_bytes(device)
    plan = choose(text, image, free * SHARE, n_classes, options.TEXT_CHUNK, options.CHECKPOINT)
    model.take_text_in_chunks(plan.text_chunk, plan.recompute_text)
    model.image_tower.recompute = plan.recompute_image
    if options.CHECKPOINT == "auto" and text + image > free * SHARE:
        gb = [f"{size / 1e9:.1f} GB" for size in (text + image, free)]
        towers = [f"text ({plan.text_chunk} of {n_classes} classes at a time)"] * plan.recompute_text
        towers += ["image"] * plan.recompute_image
        print(
            f"Memory: a training step would keep about {gb[0]}, {gb[1]} are free; computed again in the backward pass "
            f"instead: {' and '.join(towers)} tower"
        )


def choose(text: float, image: float, room: float, n_classes: int, text_chunk: int, checkpoint: str) -> Plan:
    """The plan for activations of `text` and `image` bytes in `room` bytes.

    Args:
        text_chunk: TRAINER.TEXT_CHUNK; a chunk saves memory only if it is computed again, so it is, unless "never".
        checkpoint: TRAINER.CHECKPOINT.
    """
    always, auto = checkpoint == "always", checkpoint == "auto"
    recompute_image = always or (auto and text + image > room and image > room / 2)
    left = room - image * (1 / KEPT_IMAGE if recompute_image else 1)
    too_much = auto and text > left
    if not text_chunk:
        fitting = int(n_classes * max(left, 0) / text) if too_much else n_classes
        text_chunk = min(max(fitting, 1), n_classes)
    text_chunk = min(text_chunk, n_classes)
    return Plan(text_chunk, always or too_much or (auto and text_chunk < n_classes), recompute_image)


def activation_bytes(model: PromptedCLIP, batch_size: int) -> tuple[int, int]:
    """About what the text and the image tower keep for the backward pass of a batch; 0 for a tower without prompts."""
    text = image = 0
    if model.text_is_prompted:
        tower = model.text_tower.transformer
        n_tokens = sum(len(chunk.get_buffer("tokens")) for chunk in model.chunks)
        n_tokens *= batch_size if model.image_specific else 1
        text = n_tokens * tower.width * tower.layers * KEPT_TEXT * 4
    with torch.random.fork_rng(devices=[]), torch.no_grad():  # a learner may draw dropout
        prompts = model.prompts_for_images().image
    if prompts is not None:
        visual = model.image_tower.visual
        n_tokens = batch_size * (len(visual.positional_embedding) + prompts.shape[1])
        image = n_tokens * visual.transformer.width * visual.transformer.layers * KEPT_IMAGE * 4
    return text, image


def free_bytes(device: torch.device) -> float:
    """Memory that the device has left; of the machine, and of the container if that has less; infinite if unknown."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    with contextlib.suppress(OSError, KeyError):
        free = 1024 * _numbers(Path("/proc/meminfo"))["MemAvailable:"]
        group = Path("/sys/fs/cgroup")
        with contextlib.suppress(OSError, KeyError, ValueError):  # "max" is no limit
            used = int((group / "memory.current").read_text()) - _numbers(group / "memory.stat")["inactive_file"]
            free = min(free, int((group / "memory.max").read_text()) - used)
        return free
    with contextlib.suppress(ImportError):
        import psutil

        return psutil.virtual_memory().available
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return math.inf


def keep_freed_memory(device: torch.device) -> bool:
    """On a CPU with glibc, lets this process keep what it frees; returns whether it does.

    Otherwise each tensor of more than 32 MB, and all that a step frees at its end, goes back to the system and is new
    memory the next time, page by page: on a virtual machine a seventh to a third of a step. Whoever has set glibc's own
    variables (MALLOC_...) is left with them.
    """
    if device.type != "cpu" or platform.libc_ver()[0] != "glibc" or any(n.startswith("MALLOC_") for n in os.environ):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, -1))


def _numbers(path: Path) -> dict[str, int]:
    rows = (line.split() for line in path.read_text().splitlines())
    return {name: int(value) for name, value, *_ in rows}


@contextlib.contextmanager
def out_of_memory_explained() -> Iterator[None]:
    """Makes torch's error that memory is used up a ValueError that names the switches."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error)
        signs = ("out of memory", "not enough memory", "DefaultCPUAllocator", "ALLOC_FAILED")
        if not (isinstance(error, MemoryError) or any(sign in text for sign in signs)):
            raise
        first = (text.splitlines() or ["out of memory"])[0][:160]
        raise ValueError(
            f"the memory is used up ({first}). In training set TRAINER.CHECKPOINT always, then TRAINER.TEXT_CHUNK 100 "
            "(classes at a time), then TRAINER.ACCUMULATE 4 (parts of a batch); in a test a smaller "
            "DATALOADER.TEST.BATCH_SIZE"
        ) from error
