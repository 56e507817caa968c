"""Exported files work without the project and compute what the run computes."""

import importlib.util
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from packaging.version import parse
from safetensors.torch import load_file

from tests.trainers.conftest import build, config, pets_root  # noqa: F401
from tests.trainers.test_predictor import METHODS, ROOT, finished, put_in_place, rows_of  # noqa: F401
from upt_clip import trainers
from upt_clip.tools.use import export

HAS_ONNX = all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))
needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason="pip install onnx onnxruntime")

HAS_PT2 = parse(torch.__version__) >= parse(export.PT2_SINCE)
needs_pt2 = pytest.mark.skipif(not HAS_PT2, reason=f"PyTorch older than {export.PT2_SINCE}")

# what the file of a format is read with; the first is the default
READ = {
    "pt2": ("image_encoder.pt2", lambda path: torch.export.load(path).module()),
    "torchscript": ("image_encoder.pt", torch.jit.load),
}


def exported(run, folder, format="pt2", *options):
    """Exports the run; the image encoder that others would read."""
    words = [] if format == "pt2" else ["--format", format]
    assert export.main([str(run), "--out", str(folder), *words, *options]) == 0
    name, read = READ[format]
    return read(str(folder / name))


def probabilities(folder, features):
    """What classes.json says, by hand."""
    facts, t = json.loads((folder / "classes.json").read_text()), load_file(folder / "classes.safetensors")
    if facts["probabilities"].startswith("softmax(logit_scale"):
        return (facts["logit_scale"] * features @ t["text_features"].T).softmax(dim=-1)
    return (features @ t["weight"].T + t["bias"]).softmax(dim=-1)


@pytest.mark.parametrize("format", [pytest.param("pt2", marks=needs_pt2), "torchscript"])
@pytest.mark.parametrize("name", [name for name in METHODS if name != "CoCoOp"])
def test_the_files_compute_what_the_run_computes(finished, name, format, tmp_path, capsys):  # noqa: F811
    run = finished(name)
    encoder = exported(run, tmp_path, format)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["classes.json", "classes.safetensors", READ[format][0]]
    assert "largest difference from the model" in capsys.readouterr().out
    model = trainers.load(run)
    pictures = [row["path"] for row in rows_of(run)[:7]]  # written with 2
    (batch,) = model.tensors(pictures)
    with torch.no_grad():
        features = encoder(batch)
    torch.testing.assert_close(features, model.image_features(pictures), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(probabilities(tmp_path, features), model.predict(pictures), atol=1e-5, rtol=1e-4)
    facts = json.loads((tmp_path / "classes.json").read_text())
    assert facts["classnames"] == model.classnames and facts["picture"]["center_crop"] == [32, 32]


@needs_pt2
def test_the_encoder_needs_nothing_of_the_project(finished, tmp_path):  # noqa: F811
    exported(finished("UPT"), tmp_path)
    code = "import torch; print(*torch.export.load('image_encoder.pt2').module()(torch.zeros(3, 3, 32, 32)).shape)"
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3 32"


@pytest.mark.parametrize("format", [pytest.param("pt2", marks=needs_pt2), "torchscript"])
def test_resnets_and_other_classes(build, tiny_resnet_file, tmp_path, format):  # noqa: F811
    run = tmp_path / "run"
    build("CoOp", "TRAINER.COOP.N_CTX", "2", "OPTIM.MAX_EPOCH", "1", backbone=tiny_resnet_file, output=run).train()
    encoder = exported(run, run / "export", format, "--classes", "cat,dog,cow")
    assert load_file(run / "export/classes.safetensors")["text_features"].shape == (3, 32)
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(encoder(images), trainers.load(run).encode_images(images), atol=1e-5, rtol=1e-4)


@needs_pt2
def test_the_documents_examples(finished, tmp_path, monkeypatch):  # noqa: F811
    """docs/USE.md says how each format is read."""
    text = (ROOT / "docs/USE.md").read_text(encoding="utf-8")
    put_in_place(finished("UPT"), text, tmp_path)
    monkeypatch.chdir(tmp_path)
    _, default, *others = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    run, names, n_read = re.search(r"upt-clip export (\S+)\n", text)[1], {}, 0
    for snippet in (default, *others):
        name = re.search(r"image_encoder\.\w+", snippet)[0]
        (format,) = (format for format, (_, file) in export.FORMATS.items() if file == name)
        if format != "onnx" or HAS_ONNX:
            assert export.main([run, "--format", format]) == 0
            exec(snippet.replace("48, 48", "32, 32"), names)
            expected = trainers.load(run).encode_images(names["pictures"])
            torch.testing.assert_close(names["features"], expected, atol=1e-5, rtol=1e-4)
        n_read += 1
    assert n_read == len(export.FORMATS)
    torch.testing.assert_close(names["probabilities"].sum(), torch.tensor(1.0))


def test_a_pytorch_that_cannot_write_pt2_is_told_what_can(finished, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(torch, "__version__", "2.1.2+cu121")
    with pytest.raises(
        ValueError, match=r"needs PyTorch 2.6 or newer, this is 2.1.2\+cu121: take --format torchscript"
    ):
        export.main([str(finished("UPT")), "--out", str(tmp_path)])
    assert not list(tmp_path.iterdir())


@needs_pt2
def test_an_export_that_differs_is_not_written(finished, tmp_path, monkeypatch):  # noqa: F811
    forward = export.ImageEncoder.forward
    monkeypatch.setattr(export.ImageEncoder, "forward", lambda self, images: forward(self, images) + 2e-4)
    with pytest.raises(ValueError, match=r"differs from the model by 2.0e-04, more than 0.0001"):
        export.main([str(finished("UPT")), "--out", str(tmp_path)])
    assert not list(tmp_path.iterdir())


@needs_pt2
def test_classes_that_give_other_probabilities_are_not_written(finished, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setitem(export.USE, export.COSINE, lambda f, t: f @ t["text_features"].T)
    with pytest.raises(ValueError, match="not written"):
        export.main([str(finished("UPT")), "--out", str(tmp_path)])
    assert [p.name for p in tmp_path.iterdir()] == ["image_encoder.pt2"]


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
