"""What is kept for the backward pass, what is chosen where memory is short, what a user reads when it is used up."""

import math
import os
import platform
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from upt_clip.trainers.core.training import memory

GB = 10**9
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "image", "key", "checkpoint", "plan"),
    [
        (1, 1, 0, "auto", (1000, False, False)),  # all fits
        (1, 1, 100, "auto", (100, True, False)),  # a chunk that is kept would save nothing
        (1, 1, 100, "never", (100, False, False)),
        (1, 1, 5000, "auto", (1000, False, False)),  # there are not so many classes
        (1, 1, 0, "always", (1000, True, True)),
        (40, 2, 0, "auto", (200, True, False)),  # 8 GB are left beside the image tower
        (4, 40, 0, "auto", (1000, False, True)),
        (400, 400, 0, "never", (1000, False, False)),
        (10**6, 2, 0, "auto", (1, True, False)),
        (4, 1000, 0, "auto", (1, True, True)),  # hopeless: what can be done is done
    ],
)
def test_what_is_chosen_for_10_gb(text, image, key, checkpoint, plan):
    assert memory.choose(text * GB, image * GB, 10 * GB, 1000, key, checkpoint) == plan


def kept_bytes(model, images) -> int:
    """Bytes of all tensors that the backward pass of a step will use, each storage once, parameters left out."""
    frozen = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in frozen:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model(images).sum()
    loss.backward()
    return sum(kept.values())


@pytest.mark.parametrize(
    "opts", [["CoOp", "TRAINER.COOP.N_CTX", "16"], ["VPT"], ["UPT", "TRAINER.UPT.DEPTH_VISION", "3"], ["CoCoOp"]]
)
def test_the_estimate_covers_what_is_kept_and_computing_anew_saves_most_of_it(build, opts):
    model = build(*opts).model.train()
    images = torch.randn(8, 3, 32, 32)
    estimate = sum(memory.activation_bytes(model, len(images)))
    everything = kept_bytes(model, images)
    assert 0.4 * estimate < everything < 1.1 * estimate
    model.take_text_in_chunks(1, recompute=True)
    model.image_tower.recompute = True
    assert kept_bytes(model, images) < everything / 2


def test_a_choice_is_said_in_one_line(build, monkeypatch, capsys):
    trainer = build("UPT")
    memory.fit_to_memory(trainer.model, trainer.cfg, trainer.device)
    assert "Memory" not in capsys.readouterr().out
    monkeypatch.setattr(memory, "free_bytes", lambda device: 100_000)
    memory.fit_to_memory(trainer.model, trainer.cfg, trainer.device)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("Memory: a training step would keep about 0.0 GB") and "1 of 4 classes at a time" in line
    assert len(trainer.model.chunks) == 4 and trainer.model.image_tower.recompute


def test_free_memory_of_this_machine():
    assert 10**7 < memory.free_bytes(torch.device("cpu")) < math.inf


def no_memory(*args, **kwargs):
    torch.empty(2**60)


def no_gpu_memory(*args, **kwargs):
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore lines")


@pytest.mark.parametrize("fail", [no_memory, no_gpu_memory])
def test_used_up_memory_names_the_switches(build, monkeypatch, fail):
    trainer = build("UPT")
    monkeypatch.setattr(trainer.model.image_tower, "forward", fail)
    for run in (trainer.train, trainer.test):
        with pytest.raises(ValueError, match=r"memory is used up \(.*TEXT_CHUNK.*ACCUMULATE.*BATCH_SIZE") as error:
            run()
        assert "\n" not in str(error.value)


def test_other_errors_stay_as_they_are():
    with pytest.raises(RuntimeError, match="size mismatch"), memory.out_of_memory_explained():
        raise RuntimeError("size mismatch")


@pytest.mark.parametrize("keys", [["TRAINER.ACCUMULATE", "3"], ["TRAINER.TEXT_CHUNK", "2"]])
def test_a_run_with_a_switch_ends_as_without(build, keys):
    """Three steps with dropout, the last batch smaller."""
    ends = []
    for more in ([], keys):
        trainer = build("UPT", "TRAINER.UPT.DEPTH_TEXT", "2", "DATALOADER.TRAIN_X.BATCH_SIZE", "3", *more)
        trainer.train()
        ends.append(torch.cat([p.detach().flatten() for p in trainer.trainable.values()]))
    assert (ends[0] - ends[1]).norm() <= 1e-4 * ends[0].norm()


def test_compiled_towers_train_the_same(build, monkeypatch):
    """The towers are traced whole; what Inductor would make of them is left out, since it takes a minute."""
    monkeypatch.setattr("shutil.which", lambda name: name)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager", fullgraph=True))
    ends = []
    for compiled in (False, True):
        trainer = build("UPT", "TRAINER.UPT.DEPTH_TEXT", "2", "TRAIN.COMPILE", str(compiled))
        trainer.train()
        ends.append(torch.cat([p.detach().flatten() for p in trainer.trainable.values()]))
    assert (ends[0] - ends[1]).norm() <= 1e-4 * ends[0].norm()


def test_what_cannot_be_compiled_is_said(build, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ValueError, match=r"TRAIN.COMPILE is True, but there is no C\+\+ compiler"):
        build("UPT", "TRAIN.COMPILE", "True")

    def fails(*_):
        raise RuntimeError("backend='inductor' raised:\nOSError: no space\n\nSet TORCH_LOGS")

    monkeypatch.setattr("shutil.which", lambda name: name)
    monkeypatch.setattr(torch, "compile", lambda function: fails)
    with pytest.raises(ValueError, match=r"cannot compile here \(backend='inductor' raised: OSError: no space\):"):
        build("UPT", "TRAIN.COMPILE", "True")


def test_torch_finds_what_it_compiles_with_whatever_setuptools_there_is():
    code = "import upt_clip, sys, torch.utils.cpp_extension; sys.exit('clip' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


KEEPS = """
import os, sys, torch
from upt_clip.trainers.core.training.memory import keep_freed_memory
def resident(): return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
kept = sys.argv[1] == "yes" and keep_freed_memory(torch.device("cpu"))
before = resident()
torch.ones(50_000_000)  # 200 MB, freed at once
print(kept, resident() - before > 190e6)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
@pytest.mark.parametrize(("call", "found"), [("yes", "True True"), ("no", "False False")])
def test_freed_memory_is_kept_for_the_next_step(call, found):
    env = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", KEEPS, call]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, check=True)
    assert run.stdout.strip() == found


def test_a_users_own_malloc_settings_stay(monkeypatch):
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    assert not memory.keep_freed_memory(torch.device("cpu"))
    monkeypatch.delenv("MALLOC_ARENA_MAX")
    assert not memory.keep_freed_memory(torch.device("cuda"))
