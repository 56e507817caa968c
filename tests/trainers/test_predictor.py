"""A run, loaded: it predicts what its own test predicted, without the data set, and for other classes."""

import contextlib
import csv
import io
import json
import re
import shutil
import struct
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from tests.trainers.test_trainers import VARIANTS
from upt_clip import trainers

ROOT = Path(__file__).parents[2]

METHODS = {
    "ZeroshotCLIP": ["ZeroshotCLIP"], "LinearProbe": ["LinearProbe"],
    **{name: VARIANTS[name] for name in ("CoOp", "CoOp class-specific", "CoCoOp", "VPT deep", "UPT", "UPT gain")},
}  # fmt: skip


RUNS: dict[str, Path] = {}  # finished runs, each made once for all test files that use the fixture


@pytest.fixture
def finished(build, tmp_path_factory):
    """finished("UPT") -> the directory of a trained and tested run; tests leave it as it is."""

    def make(name: str) -> Path:
        if name not in RUNS:
            directory = tmp_path_factory.mktemp("run")
            with contextlib.redirect_stdout(io.StringIO()):
                build(*METHODS[name], "OPTIM.MAX_EPOCH", "1", output=directory).train()
            RUNS[name] = directory
        return RUNS[name]

    return make


def rows_of(run: Path) -> list[dict]:
    """The rows of predictions.csv, with whole paths."""
    folder = json.loads((run / "result.json").read_text())["image_dir"]
    with (run / "predictions.csv").open() as file:
        return [row | {"path": f"{folder}/{row['path']}"} for row in csv.DictReader(file)]


@pytest.mark.parametrize("name", METHODS)
def test_predicts_what_the_run_itself_predicted(finished, name):
    run = finished(name)
    rows = rows_of(run)
    model = trainers.load(run, batch_size=3, device="cpu")
    probabilities = model.predict([row["path"] for row in rows])
    assert probabilities.shape == (len(rows), len(model.classnames)) and probabilities.dtype == torch.float32
    torch.testing.assert_close(probabilities.sum(1), torch.ones(len(rows)))
    for row, p in zip(rows, probabilities, strict=True):
        assert float(p.max()) == pytest.approx(float(row["confidence"]), abs=1e-4)
        assert p[int(row["predicted"])] == p.max()
        assert model.classnames[int(row["predicted"])] == row["predicted_name"]


@pytest.mark.parametrize("name", ["ZeroshotCLIP", "CoOp", "CoCoOp", "VPT deep", "UPT"])
def test_other_classes(finished, name):
    model = trainers.load(finished(name))
    picture = rows_of(finished(name))[0]["path"]
    own, old = model.predict(picture), list(model.classnames)
    model.set_classes(["tea pot", "dog"])
    assert model.predict(picture).shape == (1, 2) and model.classnames == ["tea pot", "dog"]
    model.set_classes(old[::-1])  # the same names in another order: the same numbers in another order
    torch.testing.assert_close(model.predict(picture), own.flip(1), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["LinearProbe", "CoOp class-specific"])
def test_methods_with_weights_for_their_classes_take_no_others(finished, name):
    model = trainers.load(finished(name))
    model.set_classes(model.classnames)
    for others in (["cat", "dog"], model.classnames[::-1]):
        with pytest.raises(ValueError, match="takes no others") as error:
            model.set_classes(others)
        assert "\n" not in str(error.value)


def test_the_features_make_the_probabilities(finished):
    run = finished("UPT")
    model = trainers.load(run)
    pictures = [row["path"] for row in rows_of(run)[:5]]
    image, text = model.image_features(pictures), model.text_features()
    assert image.shape == (5, 32) and text.shape == (len(model.classnames), 32)
    torch.testing.assert_close(image.norm(dim=1), torch.ones(5))
    logits = model.trainer.clip_model.logit_scale.exp() * image @ text.t()
    torch.testing.assert_close(logits.softmax(1), model.predict(pictures), atol=1e-5, rtol=1e-4)


def test_features_of_a_method_whose_prompts_depend_on_the_image(finished):
    run = finished("CoCoOp")
    model, zero_shot = trainers.load(run), trainers.load(finished("ZeroshotCLIP"))
    picture = rows_of(run)[0]["path"]
    torch.testing.assert_close(model.image_features(picture), zero_shot.image_features(picture))
    with pytest.raises(ValueError, match="depend on the image"):
        model.text_features()


def test_takes_paths_and_pil_images_of_any_mode_and_no_pictures(finished):
    run = finished("VPT deep")
    model = trainers.load(run, batch_size=2)
    path = Path(rows_of(run)[0]["path"])
    with Image.open(path) as image:
        rgb = image.convert("RGB")
    one = model.predict(path)
    mixture = model.predict(iter([str(path), rgb, rgb.convert("RGBA")]))
    torch.testing.assert_close(mixture, one.expand(3, -1), atol=1e-6, rtol=1e-5)
    assert model.predict(rgb.convert("L")).shape == one.shape
    assert model.predict([]).shape == (0, len(model.classnames)) and model.image_features([]).shape == (0, 32)


def test_an_exif_orientation_is_not_applied_since_training_does_not(finished, tmp_path):
    model, exif = trainers.load(finished("VPT deep")), Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    picture = Image.linear_gradient("L").convert("RGB")
    picture.save(tmp_path / "turned.png", exif=exif)
    torch.testing.assert_close(model.predict(tmp_path / "turned.png"), model.predict(picture))
    assert not torch.allclose(model.predict(picture), model.predict(picture.rotate(90)))


def test_needs_no_data_set_and_leaves_random_numbers_and_the_output_alone(finished, tmp_path, capsys):
    run = tmp_path / "moved"
    run.mkdir()
    for name in ("config.yaml", "prompts.safetensors"):
        shutil.copy(finished("UPT") / name, run)
    text = (run / "config.yaml").read_text()
    (root,) = [line for line in text.splitlines() if line.startswith("  ROOT:")]
    (run / "config.yaml").write_text(text.replace(root, "  ROOT: /nowhere"))
    state = torch.get_rng_state()
    model = trainers.load(run)
    assert model.predict(Image.new("RGB", (40, 50))).shape == (1, len(model.classnames))
    assert torch.equal(torch.get_rng_state(), state) and capsys.readouterr().out == ""
    assert sorted(path.name for path in run.iterdir()) == ["config.yaml", "prompts.safetensors"]


def test_a_run_with_dassls_checkpoint_alone_asks_for_its_classes(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished("UPT"), run)
    for name in ("prompts.safetensors", "predictions.csv", "result.json"):
        (run / name).unlink()
    model = trainers.load(run)
    picture = rows_of(finished("UPT"))[0]["path"]
    with pytest.raises(ValueError, match="set_classes"):
        model.predict(picture)
    whole = trainers.load(finished("UPT"), epoch=1)
    model.set_classes(whole.classnames)
    torch.testing.assert_close(model.predict(picture), whole.predict(picture))


def test_half_precision(finished, monkeypatch):
    monkeypatch.setattr("upt_clip.trainers.core.clip.precision._half_dtype", lambda device: torch.bfloat16)
    run = finished("UPT")
    picture = rows_of(run)[0]["path"]
    model = trainers.load(run, precision="bf16")
    features = model.image_features(picture)
    assert model.precision == "bf16" and features.dtype == torch.float32
    assert F.cosine_similarity(features, trainers.load(run, precision="fp32").image_features(picture)) > 0.99


def test_errors_name_what_is_wrong(finished, tmp_path):
    run = finished("UPT")

    def fails(match, call, error=ValueError):
        with pytest.raises(error, match=match) as caught:
            call()
        assert "\n" not in str(caught.value)

    fails("no config.yaml; there are runs in", lambda: trainers.load(run.parent), FileNotFoundError)
    fails("no config.yaml", lambda: trainers.load(tmp_path / "none"), FileNotFoundError)
    fails("choose one of cpu", lambda: trainers.load(run, device="cuda:77"))
    fails('PREC is "fp8"', lambda: trainers.load(run, precision="fp8"))
    fails("batch_size is 0", lambda: trainers.load(run, batch_size=0))
    fails('unknown backbone "ViT-B/17".*did you mean', lambda: trainers.load(run, backbone="ViT-B/17"))
    model = trainers.load(run)
    fails("cat", lambda: model.set_classes(["cat", "dog", "cat"]))
    fails("give a list", lambda: model.set_classes([]))
    fails("nothing.jpg .no such file", lambda: model.predict(tmp_path / "nothing.jpg"))
    (tmp_path / "text.jpg").write_text("no picture")
    fails("cannot read the picture .*text.jpg", lambda: model.predict([tmp_path / "text.jpg"]))
    fails("cannot take a int", lambda: model.predict([3]))


def test_damaged_and_foreign_files_are_refused(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished("CoOp"), run)
    prompts = run / "prompts.safetensors"
    whole = prompts.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"\x80\x04pickle", struct.pack("<Q", 2**60)):
        prompts.write_bytes(content)
        with pytest.raises(ValueError, match="cannot read .*prompts.safetensors"):
            trainers.load(run)
    shutil.copy(finished("UPT") / "prompts.safetensors", prompts)
    with pytest.raises(ValueError, match="does not fit CoOp"):
        trainers.load(run)
    (run / "config.yaml").write_text("!!python/object/apply:os.system ['true']")
    with pytest.raises(ValueError, match="not the config of a run"):
        trainers.load(run)
    (run / "config.yaml").write_text("TRAINER:\n  NAME: Foreign\n")
    with pytest.raises(ValueError, match='"Foreign", which is no trainer here'):
        trainers.load(run)


def test_the_documents_python_examples(finished, tmp_path, monkeypatch):
    """The snippets of docs/USE.md, in their order, in a folder that looks like the checkout after `make demo`."""
    text = (ROOT / "docs/USE.md").read_text(encoding="utf-8")
    use = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    put_in_place(finished("UPT"), text, tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(use, names)
    assert names["probabilities"].shape == (2, 3) and names["text"].shape == (3, 32)


def put_in_place(run: Path, text: str, folder: Path) -> None:
    """Copies a run to the path that a document's text gives it, and links the pictures of the checkout."""
    (there,) = set(re.findall(r"output/\S+?/seed1", text))
    shutil.copytree(run, folder / there)
    (folder / "assets").symlink_to(ROOT / "assets")
