"""Exported files work without the project and compute what the run computes."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.trainers.conftest import build, config, pets_root  # noqa: F401
from tests.trainers.test_predictor import METHODS, finished, rows_of  # noqa: F401
from upt_clip import trainers
from upt_clip.tools.use import export

needs_onnx = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime")), reason="pip install onnx onnxruntime"
)


def probabilities(folder, features):
    """What classes.json says, by hand."""
    facts, t = json.loads((folder / "classes.json").read_text()), load_file(folder / "classes.safetensors")
    if facts["probabilities"].startswith("softmax(logit_scale"):
        return (facts["logit_scale"] * features @ t["text_features"].T).softmax(dim=-1)
    return (features @ t["weight"].T + t["bias"]).softmax(dim=-1)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "CoCoOp"])
def test_torchscript_computes_what_the_run_computes(finished, name, tmp_path, capsys):  # noqa: F811
    run = finished(name)
    assert export.main([str(run), "--out", str(tmp_path)]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["classes.json", "classes.safetensors", "image_encoder.pt"]
    assert "largest difference from the model" in capsys.readouterr().out
    model = trainers.load(run)
    encoder = torch.jit.load(str(tmp_path / "image_encoder.pt"))
    pictures = [row["path"] for row in rows_of(run)[:7]]  # traced with 2
    (batch,) = model.tensors(pictures)
    with torch.no_grad():
        features = encoder(batch)
    torch.testing.assert_close(features, model.image_features(pictures), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(probabilities(tmp_path, features), model.predict(pictures), atol=1e-5, rtol=1e-4)
    facts = json.loads((tmp_path / "classes.json").read_text())
    assert facts["classnames"] == model.classnames and facts["picture"]["center_crop"] == [32, 32]


def test_the_encoder_needs_nothing_of_the_project(finished, tmp_path):  # noqa: F811
    export.main([str(finished("UPT")), "--out", str(tmp_path)])
    code = "import torch, sys; print(tuple(torch.jit.load('image_encoder.pt')(torch.zeros(3, 3, 32, 32)).shape))"
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(3, 32)"


def test_resnets_and_other_classes(build, tiny_resnet_file, tmp_path):  # noqa: F811
    run = tmp_path / "run"
    build("CoOp", "TRAINER.COOP.N_CTX", "2", "OPTIM.MAX_EPOCH", "1", backbone=tiny_resnet_file, output=run).train()
    assert export.main([str(run), "--classes", "cat,dog,cow"]) == 0
    assert load_file(run / "export/classes.safetensors")["text_features"].shape == (3, 32)
    model = trainers.load(run)
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        features = torch.jit.load(str(run / "export/image_encoder.pt"))(images)
        torch.testing.assert_close(features, model.encode_images(images), atol=1e-5, rtol=1e-4)


def test_an_export_that_differs_is_not_written(finished, tmp_path, monkeypatch):  # noqa: F811
    forward = export.ImageEncoder.forward
    monkeypatch.setattr(export.ImageEncoder, "forward", lambda self, images: forward(self, images) + 2e-4)
    with pytest.raises(ValueError, match=r"differs from the model by 2.0e-04, more than 0.0001"):
        export.main([str(finished("UPT")), "--out", str(tmp_path)])
    assert not list(tmp_path.iterdir())


def test_classes_that_give_other_probabilities_are_not_written(finished, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setitem(export.USE, export.COSINE, lambda f, t: f @ t["text_features"].T)
    with pytest.raises(ValueError, match="not written"):
        export.main([str(finished("UPT")), "--out", str(tmp_path)])
    assert [p.name for p in tmp_path.iterdir()] == ["image_encoder.pt"]


def test_class_embeddings_that_depend_on_the_image(finished):  # noqa: F811
    with pytest.raises(ValueError, match="CoCoOp cannot be exported.*depend on the image"):
        export.main([str(finished("CoCoOp"))])


def test_missing_onnx_says_how_to_get_it(finished, monkeypatch):  # noqa: F811
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "onnxruntime" else find(name, *a))
    with pytest.raises(ValueError, match="pip install onnx onnxruntime"):
        export.main([str(finished("UPT")), "--format", "onnx"])


@needs_onnx
@pytest.mark.parametrize("name", ["UPT", "VPT deep", "ZeroshotCLIP"])
def test_onnx(finished, name, tmp_path):  # noqa: F811
    import onnxruntime

    assert export.main([str(finished(name)), "--out", str(tmp_path), "--format", "onnx"]) == 0
    session = onnxruntime.InferenceSession(str(tmp_path / "image_encoder.onnx"), providers=["CPUExecutionProvider"])
    images = torch.randn(6, 3, 32, 32)
    (features,) = session.run(None, {"images": images.numpy()})
    expected = trainers.load(finished(name)).encode_images(images).detach().numpy()
    np.testing.assert_allclose(features, expected, atol=1e-4)


@needs_onnx
def test_onnx_of_a_resnet(build, tiny_resnet_file, tmp_path):  # noqa: F811
    build("ZeroshotCLIP", backbone=tiny_resnet_file, output=tmp_path).train()
    assert export.main([str(tmp_path), "--format", "onnx"]) == 0
