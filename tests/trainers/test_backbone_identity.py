"""Which weights a run was trained on: a hash of the values, not of the file's name or format."""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests.conftest import random_clip
from upt_clip import trainers
from upt_clip.trainers.core.clip import loader
from upt_clip.trainers.core.clip.loader import load_clip, weights_sha256


def saved(path, dtype=torch.float32, **changed) -> str:
    """A checkpoint of the tiny CLIP, some of its tensors changed."""
    state = {name: changed.get(name, tensor).to(dtype) for name, tensor in random_clip().state_dict().items()}
    torch.save(state, path)
    return str(path)


def test_the_hash_is_of_the_values_whatever_the_file(tmp_path):
    halves = random_clip().half().float().state_dict()
    save_file(halves, tmp_path / "a.safetensors")
    names = [saved(tmp_path / "a.pt", **halves), saved(tmp_path / "b.pt", torch.float16, **halves)]
    models = [load_clip(name) for name in (*names, str(tmp_path / "a.safetensors"))]
    assert len({weights_sha256(model) for model in models}) == 1 and len(weights_sha256(models[0])) == 64
    loaded = weights_sha256(models[0])
    assert weights_sha256(models[0].bfloat16()) == loaded  # a trainer casts the model later
    assert weights_sha256(random_clip().half().float()) == loaded  # a model that was not read from a file
    other = saved(tmp_path / "c.pt", **(halves | {"logit_scale": halves["logit_scale"] + 1}))
    assert weights_sha256(load_clip(other)) != loaded


def test_it_is_computed_once_a_file_and_anew_for_another_file_of_that_name(tmp_path, monkeypatch):
    computed = []
    compute = loader.tensors_sha256
    monkeypatch.setattr(loader, "tensors_sha256", lambda tensors: computed.append(1) or compute(tensors))
    name = saved(tmp_path / "a.pt")
    first = weights_sha256(load_clip(name))
    assert weights_sha256(load_clip(name)) == first and len(computed) == 1
    about = os.stat(name)
    saved(name, logit_scale=torch.tensor(1.0))
    os.utime(name, ns=(about.st_atime_ns, about.st_mtime_ns))  # as `cp -p` does
    assert os.stat(name).st_size == about.st_size
    assert weights_sha256(load_clip(name)) != first and len(computed) == 2


def test_reading_a_backbone_is_silent(tmp_path):
    """OpenAI's are TorchScript archives."""
    example = torch.randn(1, 3, 32, 32), torch.zeros(1, 77, dtype=torch.long)
    torch.jit.save(torch.jit.trace(random_clip(), example, check_trace=False), str(tmp_path / "jit.pt"))
    for name in ("jit.pt", saved(tmp_path / "plain.pt")):
        code = f"from upt_clip.trainers.core.clip.loader import load_clip; load_clip({str(tmp_path / name)!r})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0 and not done.stderr, done.stderr


def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("UPT_CACHE", str(tmp_path / "file"))
    assert weights_sha256(load_clip(saved(tmp_path / "a.pt"))) == weights_sha256(random_clip())


@pytest.fixture
def weights(tmp_path) -> str:
    return saved(tmp_path / "clip.pt")


def exchange(weights: str) -> str:
    """Puts other weights into the file; returns the start of their SHA-256."""
    saved(weights, logit_scale=torch.tensor(1.0))
    return weights_sha256(load_clip(weights))[:12]


def test_a_run_says_its_weights_and_is_not_loaded_on_others(build, weights, tmp_path):
    run = tmp_path / "run"
    build("CoOp", "TRAINER.COOP.N_CTX", "2", backbone=weights, output=run).train()
    theirs = weights_sha256(load_clip(weights))
    with safe_open(run / "prompts.safetensors", "pt") as file:
        assert json.loads(file.metadata()["upt"])["backbone_sha256"] == theirs
    assert json.loads((run / "result.json").read_text())["backbone_sha256"] == theirs
    trainers.load(run)
    ours = exchange(weights)
    with pytest.raises(ValueError, match=rf"SHA-256 {theirs[:12]}\.\.\..* have {ours}.*--backbone.*--any-backbone"):
        trainers.load(run)
    trainers.load(run, any_backbone=True)
    elsewhere = build("CoOp", "TRAINER.COOP.N_CTX", "2", backbone=weights, output=tmp_path / "new")
    with pytest.raises(ValueError, match=f"{theirs[:12]}.*{ours}.*--any-backbone"):
        elsewhere.load_model(str(run))
    elsewhere.any_backbone = True
    elsewhere.load_model(str(run))
    with pytest.raises(ValueError, match=f"{theirs[:12]}.*{ours}.*choose another OUTPUT_DIR"):
        build("CoOp", "TRAINER.COOP.N_CTX", "2", backbone=weights, output=run)


def test_a_killed_run_does_not_go_on_with_other_weights(build, weights, tmp_path, monkeypatch):
    cut = build("CoOp", "TRAINER.COOP.N_CTX", "2", backbone=weights, output=tmp_path / "run")

    def killed():
        raise KeyboardInterrupt

    monkeypatch.setattr(cut, "run_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        cut.train()
    ours = exchange(weights)
    again = build("CoOp", "TRAINER.COOP.N_CTX", "2", backbone=weights, output=tmp_path / "run")
    with pytest.raises(ValueError, match=f"have {ours}.*the weights that it was started on"):
        again.train()
