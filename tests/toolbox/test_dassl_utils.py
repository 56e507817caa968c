import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from dassl import utils
from torch import nn

from upt_clip import dassl_compat

bundled_only = pytest.mark.skipif(not dassl_compat.is_bundled(), reason="a known defect of Dassl.pytorch")


def test_registry():
    registry = utils.Registry("FOOD")

    @registry.register()
    class Bread: ...

    class Rice: ...

    assert registry.register(Rice) is None
    assert registry.get("Bread") is Bread
    assert list(registry.registered_names()) == ["Bread", "Rice"]
    with pytest.raises(KeyError, match='An object named "Rice" was already registered in "FOOD" registry'):
        registry.register(Rice)
    registry.register(Rice, force=True)
    with pytest.raises(KeyError, match='Object name "Soup" does not exist in "FOOD" registry'):
        registry.get("Soup")


def test_availability_guesses_what_was_meant():
    utils.check_availability("Bar", ["Bar", "Food"])
    with pytest.raises(ValueError) as error:
        utils.check_availability("Foo", ["Bar", "Food"])
    assert str(error.value) == (
        "The requested one is expected to belong to ['Bar', 'Food'], but got [Foo] (do you mean [Food]?)"
    )
    assert utils.get_most_similar_str_to_a_from_b("xy", ["ab", "cd"]) == "cd"
    assert utils.get_most_similar_str_to_a_from_b("xy", []) is None


def test_files(tmp_path, pictures):
    folder = tmp_path / "a/b"
    utils.mkdir_if_missing(str(folder))
    utils.mkdir_if_missing(str(folder))
    with pytest.raises(OSError):
        utils.mkdir_if_missing("")
    for name in ("z", ".hidden", "c"):
        (folder / name).touch()
    assert sorted(utils.listdir_nohidden(str(folder))) == ["c", "z"]
    assert utils.listdir_nohidden(str(folder), sort=True) == ["c", "z"]
    assert utils.check_isfile(str(folder / "c"))
    with pytest.warns(UserWarning, match="No file found at"):
        assert not utils.check_isfile(str(folder / "no"))
    image = utils.read_image(pictures("p.png", colour=(1, 2, 3)))
    assert (image.mode, image.getpixel((0, 0))) == ("RGB", (1, 2, 3))


def test_json(tmp_path):
    path = str(tmp_path / "new/x.json")
    utils.write_json({"a": [1, 2]}, path)
    assert Path(path).read_text() == '{\n    "a": [\n        1,\n        2\n    ]\n}'
    assert utils.read_json(path) == {"a": [1, 2]}


@bundled_only
def test_json_with_a_bare_file_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    utils.write_json([1], "x.json")
    assert utils.read_json("x.json") == [1]


def test_tolist_if_not():
    assert utils.tolist_if_not([1]) == [1]
    assert utils.tolist_if_not((1, 2)) == [(1, 2)]
    assert utils.tolist_if_not("ab") == ["ab"]


def test_seed():
    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item()

    utils.set_random_seed(7)
    first = draw()
    utils.set_random_seed(7)
    assert draw() == first
    assert first[0] == random.Random(7).random()


def test_meters():
    meter = utils.AverageMeter()
    meter.update(2.0)
    meter.update(torch.tensor(5.0), n=2)
    assert (meter.val, meter.avg, meter.sum, meter.count) == (5.0, 4.0, 12.0, 3)
    ema = utils.AverageMeter(ema=True)
    ema.update(10.0)
    assert ema.avg == pytest.approx(1.0)
    meters = utils.MetricMeter()
    meters.update(None)
    meters.update({"loss": 1.5, "acc": torch.tensor(50.0)})
    meters.update({"loss": 0.5, "acc": 100.0})
    assert str(meters) == "loss 0.5000 (1.0000) acc 100.0000 (75.0000)"
    assert meters.meters["loss"].avg == 1.0
    with pytest.raises(TypeError, match="must be a dictionary"):
        meters.update([1])


def state(model, epoch=2, **extra):
    return {"state_dict": model.state_dict(), "epoch": epoch, "optimizer": None, "scheduler": None, **extra}


def test_checkpoint_files_and_lines(tmp_path, capsys):
    model = nn.DataParallel(nn.Linear(2, 2))
    folder = str(tmp_path / "new")
    utils.save_checkpoint(state(model, val_result=None), folder)
    assert capsys.readouterr().out == f"Checkpoint saved to {folder}/model.pth.tar-2\n"
    assert sorted(os.listdir(folder)) == ["checkpoint", "model.pth.tar-2"]
    assert Path(f"{folder}/checkpoint").read_text() == "model.pth.tar-2\n"
    loaded = torch.load(f"{folder}/model.pth.tar-2", weights_only=True)
    assert set(loaded) == {"state_dict", "epoch", "optimizer", "scheduler", "val_result"}
    assert list(loaded["state_dict"]) == ["weight", "bias"]

    utils.save_checkpoint(state(model), folder, is_best=True, model_name="mine.pth")
    assert f'Best checkpoint saved to "{folder}/model-best.pth.tar"' in capsys.readouterr().out
    assert sorted(os.listdir(folder)) == ["checkpoint", "mine.pth", "model-best.pth.tar", "model.pth.tar-2"]
    assert Path(f"{folder}/checkpoint").read_text() == "mine.pth\n"


def test_load_checkpoint_errors(tmp_path, capsys):
    with pytest.raises(ValueError, match="File path is None"):
        utils.load_checkpoint(None)
    with pytest.raises(FileNotFoundError, match='File is not found at "nowhere"'):
        utils.load_checkpoint("nowhere")
    broken = tmp_path / "broken"
    broken.write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(Exception):  # noqa: B017 - whatever torch says
        utils.load_checkpoint(str(broken))
    assert f'Unable to load checkpoint from "{broken}"' in capsys.readouterr().out


class Payload:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("payload-was-here",)


def test_checkpoints_cannot_run_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Payload()}, "evil.pth")
    with pytest.raises(ValueError, match="could run code"):
        utils.load_checkpoint("evil.pth")
    with pytest.raises(ValueError, match="could run code"):
        utils.load_pretrained_weights(nn.Linear(2, 2), "evil.pth")
    assert not os.path.exists("payload-was-here")


def test_resume_from_checkpoint(tmp_path, capsys):
    model, other = nn.Linear(2, 2), nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    saved = {**state(model, epoch=3), "optimizer": optimizer.state_dict()}
    utils.save_checkpoint(saved, str(tmp_path))
    capsys.readouterr()
    fresh = torch.optim.SGD(other.parameters(), lr=0.1)
    assert utils.resume_from_checkpoint(str(tmp_path), other, fresh) == 3
    assert torch.equal(model.weight, other.weight)
    assert fresh.param_groups[0]["lr"] == 0.5
    assert capsys.readouterr().out == (
        f'Loading checkpoint from "{tmp_path}/model.pth.tar-3"\n'
        "Loaded model weights\nLoaded optimizer\nPrevious epoch: 3\n"
    )
    with pytest.raises(FileNotFoundError):
        utils.resume_from_checkpoint(str(tmp_path / "none"), other)


@bundled_only
def test_a_failed_write_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    model = nn.Linear(2, 2)
    utils.save_checkpoint(state(model), str(tmp_path))
    before = (tmp_path / "model.pth.tar-2").read_bytes()

    def half(obj, path):
        Path(path).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError):
        utils.save_checkpoint(state(model), str(tmp_path))
    assert (tmp_path / "model.pth.tar-2").read_bytes() == before


@bundled_only
def test_saving_leaves_the_callers_state_alone(tmp_path):
    model = nn.DataParallel(nn.Linear(2, 2))
    given = state(model)
    utils.save_checkpoint(given, str(tmp_path))
    assert list(given["state_dict"]) == ["module.weight", "module.bias"]


def test_load_pretrained_weights(tmp_path, capsys):
    path = str(tmp_path / "w.pth")
    source, target = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4)), nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 5))
    torch.save({"state_dict": {f"module.{k}": v for k, v in source.state_dict().items()}}, path)
    utils.load_pretrained_weights(target, path)
    assert torch.equal(source[0].weight, target[0].weight)
    assert capsys.readouterr().out == (
        f"Successfully loaded pretrained weights from {path}\n"
        "Layers discarded due to unmatched keys or size: ['1.weight', '1.bias']\n"
    )
    torch.save({"other": torch.ones(1)}, path)
    with pytest.warns(UserWarning, match="check the key names manually"):
        utils.load_pretrained_weights(target, path)


def test_count_num_param():
    model = nn.Linear(3, 2)
    model.weight.requires_grad_(False)
    assert utils.count_num_param(model) == 8
    with pytest.raises(ValueError):
        utils.count_num_param()


@bundled_only
def test_count_num_param_of_groups():
    a, b = nn.Linear(3, 2), nn.Linear(2, 2)
    assert utils.count_num_param(params=[{"params": a.parameters()}, {"params": b.weight}, b.bias]) == 14


def test_open_layers():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    utils.open_specified_layers(model, "1")
    assert (model[0].training, model[1].training) == (False, True)
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True]
    utils.open_all_layers(model)
    assert all(p.requires_grad for p in model.parameters())
    assert model[0].training


@pytest.mark.parametrize("init_type", ["normal", "xavier", "kaiming", "orthogonal"])
def test_init_network_weights(init_type):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(2, 2))
    before = model[1].weight.detach().clone()
    utils.init_network_weights(model, init_type)
    assert not torch.equal(model[1].weight, before)
    assert model[1].bias.abs().sum() == 0


def test_environment_text_names_torch_and_pillow():
    text = utils.collect_env_info()
    assert torch.__version__ in text
    assert "\n        Pillow (" in text


@bundled_only
def test_download_url(tmp_path, monkeypatch, capsys):
    def fake(url, partial, show):
        Path(partial).write_bytes(b"content")
        show(1, 500_000, 1_000_000)

    monkeypatch.setattr("urllib.request.urlretrieve", fake)
    utils.download_url("https://example.org/x", str(tmp_path / "x"))
    assert os.listdir(tmp_path) == ["x"]
    assert "0.5 MB (50%)" in capsys.readouterr().out
    with pytest.raises(ValueError, match="must start with https"):
        utils.download_url("file:///etc/passwd", str(tmp_path / "y"))
