"""Our epoch prints and logs what Dassl's would, and reads the device only when a line is due."""

import re

import pytest
import torch
from dassl.engine import TrainerX
from torch.utils._python_dispatch import TorchDispatchMode

LINE = re.compile(
    r"^epoch \[(\d+)/(\d+)\] batch \[(\d+)/(\d+)\] time [\d.]+ \([\d.]+\) data [\d.]+ \([\d.]+\) "
    r"(.*) lr ([\d.e+-]+) eta (.+)$"
)
OPTS = ["CoOp", "TRAINER.COOP.N_CTX", "2", "DATALOADER.TRAIN_X.BATCH_SIZE", "1", "OPTIM.MAX_EPOCH", "2"]


def trained(build, capsys, monkeypatch, freq: int, run_epoch=None):
    """The progress lines (epoch, batch, metrics, rate) and the scalars of a training of 2 x 8 steps."""
    trainer = build(*OPTS, "TRAIN.PRINT_FREQ", freq, "TRAINER.COOP.PREC", "fp32")
    scalars = []
    monkeypatch.setattr(trainer, "write_scalar", lambda *values: scalars.append(values))
    if run_epoch:
        monkeypatch.setattr(type(trainer), "run_epoch", run_epoch)
    capsys.readouterr()
    trainer.train()
    lines = [match.groups() for line in capsys.readouterr().out.splitlines() if (match := LINE.match(line))]
    return [line[:-1] for line in lines], [row for row in scalars if row[0].startswith("train/")], trainer


@pytest.mark.parametrize("freq", [3, 4, 100])
def test_lines_and_scalars_are_dassls(build, capsys, monkeypatch, freq):
    lines, scalars, ours = trained(build, capsys, monkeypatch, freq)
    their_lines, their_scalars, theirs = trained(build, capsys, monkeypatch, freq, TrainerX.run_epoch)
    assert torch.equal(ours.model.learner.ctx, theirs.model.learner.ctx)
    assert lines == their_lines and len(lines) == {3: 4, 4: 4, 100: 16}[freq]
    known = {(name, step): value for name, value, step in their_scalars}
    assert all(known[name, step] == pytest.approx(value, abs=1e-5) for name, value, step in scalars)
    steps = {3: [2, 5, 7, 10, 13, 15], 4: [3, 7, 11, 15], 100: [7, 15]}[freq]
    assert [step for name, _, step in scalars if name == "train/loss"] == steps
    assert {name for name, _, _ in scalars} == {"train/loss", "train/acc", "train/lr"}


class Reads(TorchDispatchMode):
    """Counts the numbers that are asked of tensors, for each of which a GPU would have to finish its work."""

    n = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.n += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


def test_a_step_reads_no_number(build):
    trainer = build(*OPTS)
    trainer.batch_idx, trainer.num_batches = 0, 8
    (batch, *_) = trainer.train_loader_x
    with Reads() as reads:
        numbers = trainer.forward_backward(batch)
    assert reads.n == 0
    with reads:
        float(numbers["loss"])
    assert reads.n == 1


def test_a_step_of_another_kind_may_return_numbers_or_nothing(build, capsys):
    trainer = build(*OPTS, "TRAIN.PRINT_FREQ", "4")
    trainer.forward_backward = lambda batch: {"own": 0.25} if trainer.batch_idx < 4 else None
    trainer.run_epoch()
    assert capsys.readouterr().out.count("own 0.2500 (0.2500)") == 2


def test_nan_stops_the_epoch_and_names_its_step(build):
    trainer = build(*OPTS, "TRAIN.PRINT_FREQ", "5")
    forward_backward = type(trainer).forward_backward

    def step(batch):
        numbers = forward_backward(trainer, batch)
        return {**numbers, "loss": numbers["loss"] / (trainer.batch_idx != 6)}

    trainer.forward_backward = step
    with pytest.raises(FloatingPointError, match="epoch 1 of 2, step 7 of 8 with .*jpg"):
        trainer.train()
