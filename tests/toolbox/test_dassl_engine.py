import os
import re

import pytest
import torch
from dassl.engine import TrainerBase, TrainerX, TrainerXU, build_trainer
from torch import nn

from upt_clip import dassl_compat

bundled_only = pytest.mark.skipif(not dassl_compat.is_bundled(), reason="a known defect of Dassl.pytorch")
PROGRESS = re.compile(
    r"^epoch \[(\d+)/(\d+)\] batch \[(\d+)/(\d+)\] time [\d.]+ \([\d.]+\) data [\d.]+ \([\d.]+\) (.*) "
    r"lr ([\d.e+-]+) eta (.+)$"
)


def train(cfg, **attributes):
    """Train with the toy trainer until the end or `stop_before`; return the trainer."""
    trainer = build_trainer(cfg)
    for name, value in attributes.items():
        setattr(trainer, name, value)
    try:
        trainer.train()
    except KeyboardInterrupt:
        assert trainer.stop_before is not None
    return trainer


def load(path):
    return torch.load(path, weights_only=True)


def test_register_and_names():
    trainer = TrainerBase()
    a, b = nn.Linear(1, 1), nn.Linear(1, 1)
    trainer.register_model("a", a)
    trainer.register_model("b", b)
    assert trainer.get_model_names() == ["a", "b"]
    assert trainer.get_model_names("b") == ["b"]
    with pytest.raises((AssertionError, ValueError)):
        trainer.get_model_names(["c"])
    with pytest.raises(AssertionError, match="Found duplicate model names"):
        trainer.register_model("a", a)

    class Early(TrainerBase):
        def __init__(self):
            self.register_model("m", nn.Linear(1, 1))

    with pytest.raises(AttributeError, match=r"Cannot assign model before super\(\).__init__\(\) call"):
        Early()


def test_modes():
    trainer = TrainerBase()
    model = nn.Linear(1, 1)
    trainer.register_model("m", model)
    trainer.set_model_mode("eval")
    assert not model.training
    trainer.set_model_mode("train")
    assert model.training
    trainer.set_model_mode("test", "m")
    assert not model.training
    with pytest.raises(KeyError):
        trainer.set_model_mode("fast")


def test_backward_and_update_checks_the_loss():
    trainer = TrainerBase()
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    trainer.register_model("m", model, torch.optim.SGD(model.parameters(), lr=0.5))
    for expected in (0.5, 0.0):  # a gradient that was not cleared would take 1.0 in the second step
        trainer.model_backward_and_update(model(torch.ones(1, 1)).sum())
        assert model.weight.item() == expected
    for bad in (float("nan"), float("inf")):
        with pytest.raises(FloatingPointError, match="Loss is infinite or NaN!"):
            trainer.model_backward_and_update(model(torch.ones(1, 1)).sum() * bad + bad)
    assert model.weight.item() == 0.0


def test_abstract_methods_and_scalars_without_a_writer():
    trainer = TrainerBase()
    trainer.write_scalar("a", 1.0)
    trainer.close_writer()
    for call in (trainer.run_epoch, trainer.test, lambda: trainer.forward_backward({})):
        with pytest.raises(NotImplementedError):
            call()


def test_attributes_after_construction(cfg, capsys):
    trainer = build_trainer(cfg)
    assert capsys.readouterr().out.startswith("Loading trainer: ToyTrainer\nLoading dataset: ToyColours\n")
    expected = (
        "best_result cfg device dm epoch evaluator lab2cname max_epoch num_classes num_source_domains output_dir "
        "start_epoch test_loader train_loader_u train_loader_x val_loader"
    )
    assert all(hasattr(trainer, name) for name in expected.split())
    assert trainer.best_result == -float("inf")
    assert trainer.dm.dataset.classnames == ["red", "green", "blue"]
    assert trainer.device == torch.device("cpu")
    cfg.TRAINER.NAME = "ToyTrainr"
    with pytest.raises(ValueError, match=r"do you mean \[ToyTrainer\]"):
        build_trainer(cfg)


def test_check_cfg_comes_before_the_data(cfg):
    class Picky(TrainerX):
        def check_cfg(self, cfg):
            raise ValueError("not this config")

        def build_data_loader(self):
            raise AssertionError("too late")

    with pytest.raises(ValueError, match="not this config"):
        Picky(cfg)


def test_log_and_files_of_a_whole_run(cfg, tmp_path, capsys):
    cfg.OPTIM.WARMUP_EPOCH, cfg.OPTIM.WARMUP_TYPE = 1, "constant"
    trainer = train(cfg)
    out = tmp_path / "out"
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("No checkpoint found, train from scratch")
    assert lines[start - 1] == "Loading evaluator: Classification"
    assert lines[start + 1] == f"Initialize tensorboard (log_dir={out}/tensorboard)"
    progress = [PROGRESS.match(line) for line in lines[start + 2 : start + 8]]
    assert [match.groups()[:4] for match in progress] == [(str(e), "3", str(b), "2") for e in (1, 2, 3) for b in (1, 2)]
    assert re.fullmatch(r"loss \d\.\d{4} \(\d\.\d{4}\) acc [\d.]+ \([\d.]+\)", progress[0][5])
    # The line of an epoch's last batch shows the next epoch's rate.
    assert [match[6] for match in progress[:4]] == ["1.0000e-05", "2.0000e-03", "2.0000e-03", "1.5000e-03"]
    assert progress[-1][7] == "0:00:00"
    tail = lines[start + 8 :]
    assert tail[:4] == [
        f"Checkpoint saved to {out}/linear/model.pth.tar-3",
        "Finish training",
        "Deploy the last-epoch model",
        "Evaluate on the *test* set",
    ]
    assert tail[4:7] == ["=> result", "* total: 9", "* correct: 9"]
    assert re.fullmatch(r"Elapsed: 0:00:\d\d", tail[-1])

    assert sorted(os.listdir(out)) == ["linear", "tensorboard"]
    assert sorted(os.listdir(out / "linear")) == ["checkpoint", "model.pth.tar-3"]
    assert (out / "linear/checkpoint").read_text() == "model.pth.tar-3\n"
    assert os.listdir(out / "tensorboard")[0].startswith("events.out.tfevents.")
    checkpoint = load(out / "linear/model.pth.tar-3")
    assert set(checkpoint) == {"state_dict", "epoch", "optimizer", "scheduler", "val_result"}
    assert (checkpoint["epoch"], checkpoint["val_result"]) == (3, None)
    assert trainer.num_batches == 2


@pytest.mark.parametrize(("frequency", "batches"), [(1, [1, 2]), (2, [2]), (3, [1, 2])])
def test_print_frequency(cfg, capsys, frequency, batches):
    cfg.TRAIN.PRINT_FREQ, cfg.OPTIM.MAX_EPOCH = frequency, 1
    train(cfg)
    matches = [match for line in capsys.readouterr().out.splitlines() if (match := PROGRESS.match(line))]
    assert [int(match[3]) for match in matches] == batches


def test_checkpoint_frequency_and_no_test(cfg, tmp_path, capsys):
    cfg.OPTIM.MAX_EPOCH, cfg.TRAIN.CHECKPOINT_FREQ, cfg.TEST.NO_TEST = 5, 2, True
    train(cfg)
    names = sorted(os.listdir(tmp_path / "out/linear"))
    assert names == ["checkpoint", "model.pth.tar-2", "model.pth.tar-4", "model.pth.tar-5"]
    out = capsys.readouterr().out
    assert "Evaluate on" not in out
    assert "Finish training\nElapsed: " in out


def test_test_returns_accuracy_and_picks_the_split(cfg, capsys):
    trainer = build_trainer(cfg)
    trainer.model.register_forward_hook(lambda m, i, o: torch.tensor([[1.0, 0, 0]]).expand(len(o), -1))
    assert trainer.test() == pytest.approx(100 / 3)
    assert trainer.test(split="val") == pytest.approx(100 / 3)
    assert not trainer.model.training
    trainer.val_loader = None
    trainer.test(split="val")
    headings = re.findall(r"Evaluate on the \*(\w+)\* set\n=> result\n\* total: (\d)", capsys.readouterr().out)
    assert headings == [("test", "9"), ("val", "6"), ("test", "9")]


def test_best_val_is_deployed(cfg, tmp_path, capsys):
    cfg.TEST.FINAL_MODEL = "best_val"
    trainer = train(cfg, val_results=[50.0, 60.0, 60.0])
    out = tmp_path / "out/linear"
    assert sorted(os.listdir(out)) == ["checkpoint", "model-best.pth.tar", "model.pth.tar-3"]
    best = load(out / "model-best.pth.tar")
    assert (best["epoch"], best["val_result"]) == (2, 60.0)  # a tie does not replace it
    assert "Deploy the model with the best val performance\nLoad " in capsys.readouterr().out
    assert torch.equal(trainer.model[1].weight, best["state_dict"]["1.weight"])


@pytest.mark.parametrize("stop", [1, 3, 6])
@pytest.mark.parametrize("warmup", [-1, 2])
def test_resumed_run_has_the_rates_of_an_uninterrupted_one(cfg, tmp_path, capsys, stop, warmup):
    cfg.OPTIM.MAX_EPOCH, cfg.TRAIN.CHECKPOINT_FREQ, cfg.OPTIM.WARMUP_EPOCH = 8, 1, warmup
    whole = train(cfg)
    assert len(set(whole.lrs)) >= 7
    cfg.OUTPUT_DIR = str(tmp_path / "again")
    first = train(cfg, stop_before=stop)
    capsys.readouterr()
    second = train(cfg)
    assert first.lrs + second.lrs == pytest.approx(whole.lrs)
    assert second.get_current_lr() == pytest.approx(whole.get_current_lr())
    out = capsys.readouterr().out
    assert f"Found checkpoint at {tmp_path}/again (will resume training)\nLoading checkpoint from" in out
    assert f"Loaded model weights\nLoaded optimizer\nLoaded scheduler\nPrevious epoch: {stop}\n" in out


def test_a_finished_run_only_tests_again(cfg, capsys):
    train(cfg)
    capsys.readouterr()
    assert train(cfg).lrs == []
    out = capsys.readouterr().out
    assert "Finish training\nDeploy the last-epoch model\nEvaluate on the *test* set" in out


def test_resume_from_another_folder(cfg, tmp_path):
    cfg.OPTIM.MAX_EPOCH, cfg.TRAIN.CHECKPOINT_FREQ = 4, 1
    train(cfg, stop_before=2)
    cfg.RESUME, cfg.OUTPUT_DIR = cfg.OUTPUT_DIR, str(tmp_path / "second")
    trainer = train(cfg)
    assert (trainer.start_epoch, len(trainer.lrs)) == (2, 2)
    assert sorted(os.listdir(tmp_path / "second/linear")) == ["checkpoint", "model.pth.tar-3", "model.pth.tar-4"]


@bundled_only
def test_a_worse_model_never_replaces_the_best_after_a_resume(cfg, tmp_path):
    cfg.OPTIM.MAX_EPOCH, cfg.TRAIN.CHECKPOINT_FREQ, cfg.TEST.FINAL_MODEL = 4, 1, "best_val"
    results = [50.0, 80.0, 60.0, 70.0]
    train(cfg, stop_before=2, val_results=results)
    train(cfg, val_results=results)
    assert load(tmp_path / "out/linear/model-best.pth.tar")["val_result"] == 80.0


@bundled_only
def test_the_best_model_follows_into_a_new_folder(cfg, tmp_path):
    cfg.OPTIM.MAX_EPOCH, cfg.TRAIN.CHECKPOINT_FREQ, cfg.TEST.FINAL_MODEL = 4, 1, "best_val"
    results = [50.0, 80.0, 60.0, 70.0]
    train(cfg, stop_before=2, val_results=results)
    cfg.RESUME, cfg.OUTPUT_DIR = cfg.OUTPUT_DIR, str(tmp_path / "second")
    trainer = train(cfg, val_results=results)
    best = load(tmp_path / "second/linear/model-best.pth.tar")
    assert best["epoch"] == 2
    assert torch.equal(trainer.model[1].weight, best["state_dict"]["1.weight"])


@bundled_only
def test_resume_from_nowhere_is_an_error(cfg, tmp_path):
    cfg.RESUME = str(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"nowhere.*\['linear'\].*leave RESUME empty"):
        train(cfg)


@bundled_only
def test_best_val_without_a_val_set_warns(cfg):
    cfg.TEST.FINAL_MODEL, cfg.OPTIM.MAX_EPOCH = "best_val", 1
    with pytest.warns(UserWarning, match="selects the model on the test set"):
        train(cfg, val_loader=None)


def test_load_model(cfg, tmp_path, capsys):
    trainer = train(cfg, val_results=[10.0, 30.0, 20.0])
    trainer.load_model("")
    assert "Note that load_model() is skipped as no pretrained model is given" in capsys.readouterr().out
    with pytest.raises(FileNotFoundError, match=r"No model at .*linear/model-best\.pth\.tar"):
        trainer.load_model(str(tmp_path / "out"))
    trainer.save_model(1, str(tmp_path / "out"), val_result=30.0, model_name="model-best.pth.tar")
    capsys.readouterr()
    trainer.load_model(str(tmp_path / "out"))
    path = f"{tmp_path}/out/linear/model-best.pth.tar"
    assert capsys.readouterr().out == f"Load {path} to linear (epoch=2, val_result=30.0)\n"


@bundled_only
def test_load_model_of_an_epoch(cfg, tmp_path, capsys):
    trainer = train(cfg)
    with torch.no_grad():
        trainer.model[1].weight.zero_()
    trainer.load_model(str(tmp_path / "out"), epoch=3)
    assert trainer.model[1].weight.abs().sum() > 0
    assert "(epoch=3, val_result=None)" in capsys.readouterr().out


@bundled_only
def test_an_empty_checkpoint_folder_means_from_scratch(cfg, tmp_path):
    (tmp_path / "out/linear").mkdir(parents=True)
    assert len(train(cfg).lrs) == 3


@bundled_only
def test_without_tensorboard_it_trains_and_says_so(cfg, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    train(cfg)
    assert "No event files are written: the package tensorboard is not installed" in capsys.readouterr().out


@bundled_only
def test_simple_net_is_the_default_model(cfg, capsys):
    class Plain(TrainerX):
        pass

    cfg.MODEL.BACKBONE.NAME, cfg.MODEL.BACKBONE.PRETRAINED = "resnet18", False
    trainer = Plain(cfg)
    assert "Building model\n# params: 11,178,051\n" in capsys.readouterr().out
    assert trainer.model_inference(torch.zeros(2, 3, 32, 32)).shape == (2, 3)
    cfg.MODEL.BACKBONE.NAME = "resnet19"
    with pytest.raises(ValueError, match=r"resnet19.*resnet18"):
        Plain(cfg)


@pytest.mark.parametrize(("count", "n_batches"), [("train_x", 2), ("train_u", 5), ("smaller_one", 2)])
def test_unlabelled_trainer_goes_through_both_loaders(cfg, count, n_batches):
    class Both(TrainerXU):
        pairs = ()

        def build_model(self):
            model = nn.Linear(1, 1)
            self.register_model("m", model, torch.optim.SGD(model.parameters(), lr=0.1))

        def forward_backward(self, batch_x, batch_u):
            self.pairs += ((batch_x["name"], batch_u["name"]),)

    cfg.TRAIN.COUNT_ITER, cfg.OPTIM.MAX_EPOCH, cfg.TEST.NO_TEST = count, 1, True
    trainer = Both(cfg)
    trainer.train_loader_x = [{"name": f"x{i}"} for i in range(2)]
    trainer.train_loader_u = [{"name": f"u{i}"} for i in range(5)]
    trainer.train()
    assert trainer.pairs == tuple((f"x{i % 2}", f"u{i}") for i in range(n_batches))
