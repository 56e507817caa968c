"""Checkpoints, prompts and backbones: those of others that can be read, and those that must not be."""

import ast
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests.trees import make_folder, picture
from upt_clip import HOME, trainers
from upt_clip.tools.use import export, predict

PROMPTS = "prompts.safetensors"


class RunsCode:
    """Unpickled by a careless reader, it makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def dassl_checkpoint(folder: Path, content: object, epoch: int = 1) -> Path:
    """Puts `content` where Dassl's checkpoint of that epoch is, and returns its path."""
    path = folder / "prompt_learner" / f"model.pth.tar-{epoch}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    return path


def evaluate(world, directory, *arguments, trainer="CoOp", options=()):
    return world.train(
        *arguments, trainer=trainer, options=["--eval-only", "--model-dir", directory, "--load-epoch", 1, *options]
    )


CTX = torch.zeros(16, 64)
# the content of a checkpoint -> what the one line says beside its name
CHECKPOINTS = {
    "empty": (b"", "cannot read the checkpoint"),
    "text": (b"no checkpoint", "cannot read the checkpoint"),
    "a list": ([1, 2], "it holds a list"),
    "a tensor": (torch.zeros(3), "it holds a Tensor"),
    "no state_dict": ({"epoch": 1}, "no 'state_dict'"),
    "no epoch": ({"state_dict": {"ctx": CTX}}, "no 'epoch'"),
    "epoch as a text": ({"state_dict": {"ctx": CTX}, "epoch": "1"}, "cannot read the checkpoint"),
    "a number for a tensor": ({"state_dict": {"ctx": 7}, "epoch": 1}, "ctx is int, no tensor"),
    "whole numbers": ({"state_dict": {"ctx": CTX.long()}, "epoch": 1}, "ctx is torch.int64, no tensor of real"),
    "complex numbers": ({"state_dict": {"ctx": CTX.to(torch.complex64)}, "epoch": 1}, "ctx is torch.complex64"),
    "sparse": ({"state_dict": {"ctx": CTX.to_sparse()}, "epoch": 1}, "ctx"),
    "NaN": ({"state_dict": {"ctx": CTX / 0}, "epoch": 1}, "ctx holds NaN or infinite numbers"),
    "nothing": ({"state_dict": {}, "epoch": 1}, "ctx is missing, expected (16, 64)"),
    "another shape": ({"state_dict": {"ctx": CTX[:4]}, "epoch": 1}, "ctx is (4, 64), expected (16, 64)"),
    "another backbone": ({"state_dict": {"ctx": torch.zeros(16, 512)}, "epoch": 1}, "ctx is (16, 512)"),
    "another method": ({"state_dict": {"text": CTX}, "epoch": 1}, "text is (16, 64), expected absent"),
    "a whole module": ({"state_dict": torch.nn.Linear(2, 2), "epoch": 1}, "could run code"),
    "an unknown object": ({"state_dict": {"ctx": CTX}, "epoch": 1, "path": Path("x")}, "pathlib"),
}  # fmt: skip


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_a_checkpoint_that_does_not_fit(world, case, tmp_path):
    content, words = CHECKPOINTS[case]
    path = dassl_checkpoint(tmp_path / "theirs", content)
    evaluate(world, tmp_path / "theirs").refused(str(path), words)


def test_a_truncated_checkpoint(world, copy_of):
    run = copy_of("CoOp")
    path = run / "prompt_learner/model.pth.tar-1"
    whole = path.read_bytes()
    for length in (1, 100, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:length])
        evaluate(world, run).refused(f"cannot read the checkpoint {path}")


@pytest.mark.parametrize(
    "place", ["state_dict", "beside it", "in the place of a tensor", "the whole file", "old pickle"]
)
def test_code_in_a_checkpoint_does_not_run(world, tmp_path, place):
    code = RunsCode(tmp_path / "was here")
    content = {
        "state_dict": {"state_dict": code, "epoch": 1},
        "beside it": {"state_dict": {"ctx": CTX}, "epoch": 1, "scheduler": code},
        "in the place of a tensor": {"state_dict": {"ctx": code}, "epoch": 1},
        "the whole file": code,
        "old pickle": pickle.dumps(code),
    }[place]
    path = dassl_checkpoint(tmp_path / "theirs", content)
    evaluate(world, tmp_path / "theirs").refused(str(path))
    torch.save(code, tmp_path / "clip.pt")
    world.backbone, world.run_dir = tmp_path / "clip.pt", tmp_path / "run 2"
    world.train().refused("cannot read the CLIP checkpoint", "clip.pt")
    assert not (tmp_path / "was here").exists()


def test_the_same_file_would_run_its_code_elsewhere(tmp_path):
    """The tests above would notice."""
    torch.save(RunsCode(tmp_path / "was here"), tmp_path / "x")
    torch.load(tmp_path / "x", weights_only=False)
    assert (tmp_path / "was here").exists()


def test_a_small_file_that_would_fill_the_memory(world, tmp_path):
    path = dassl_checkpoint(tmp_path / "theirs", {"state_dict": {"ctx": torch.zeros(2**20)}, "epoch": 1})
    with zipfile.ZipFile(path) as plain, zipfile.ZipFile(tmp_path / "bomb", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    (tmp_path / "bomb").replace(path)
    evaluate(world, tmp_path / "theirs").refused(str(path), "would unpack to 4 MB")
    world.backbone, world.run_dir = path, tmp_path / "run 2"
    world.train().refused("cannot read the CLIP checkpoint", "would unpack to 4 MB")


LOADERS = {  # calls that can make objects of what a file names, and what makes them safe
    "pickle.load": None, "pickle.loads": None, "pickle.Unpickler": None, "marshal.loads": None, "shelve.open": None,
    "joblib.load": None, "dill.load": None, "pandas.read_pickle": None, "eval": None, "exec": None,
    "yaml.unsafe_load": None, "yaml.full_load": None, "yaml.load": "_UniqueKeys", "torch.load": "weights_only=True",
}  # fmt: skip


def test_nothing_in_the_project_makes_objects_of_what_a_file_names():
    folders = ("upt_clip", "trainers", "datasets", "tools", "toolbox/dassl")
    paths = [path for name in folders for path in (HOME / name).rglob("*.py")]
    assert len(paths) > 100
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            call = ast.unparse(node) if isinstance(node, ast.Call) else ""
            safe = LOADERS.get(call.partition("(")[0], "")
            own = path.name == "archive.py" and "pickle_module=restricted" in call
            assert safe is not None and (safe in call or own) and "allow_pickle=True" not in call, f"{path}: {call}"


def published_by_coop(folder: Path, **tensors) -> None:
    """A checkpoint as Dassl.pytorch writes it on the PyTorch of its time: with a live scheduler and its optimiser."""
    ctx = torch.nn.Parameter(tensors["ctx"])
    optimiser = torch.optim.SGD([ctx], lr=0.002, momentum=0.9)
    successor = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 50)
    ctx.grad = torch.ones_like(ctx)
    optimiser.step()
    scheduler = {"successor": successor, "warmup_epoch": 1, "last_epoch": 50}
    state = {
        "state_dict": {
            "token_prefix": torch.zeros(9, 1, 64),
            "token_suffix": torch.zeros(9, 60, 64),
            **{name: tensor.half() for name, tensor in tensors.items()},
        },
        "epoch": 50, "optimizer": optimiser.state_dict(), "scheduler": scheduler, "val_result": None,
    }  # fmt: skip
    path = dassl_checkpoint(folder, state, 50)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)


def test_coops_published_checkpoints(world, tmp_path):
    ctx = torch.linspace(-0.1, 0.1, 16 * 64).view(16, 64)
    published_by_coop(tmp_path / "theirs", ctx=ctx)
    options = ["--eval-only", "--model-dir", tmp_path / "theirs", "--load-epoch", 50]
    world.train(options=options).worked("epoch = 50", "accuracy")
    model = trainers.load(world.run_dir)  # the evaluation has made it a run of this project
    torch.testing.assert_close(model.network.learner.ctx.detach(), ctx, atol=1e-4, rtol=1e-3)
    assert model.classnames == ["abyssinian", "american_bulldog", "great_pyrenees"]
    assert json.loads((world.run_dir / "result.json").read_text())["epochs"] == 50


def test_cocoops_published_checkpoints(world, trained, tmp_path):
    tensors = {name: t.clone() for name, t in trainers.load(trained["CoCoOp"]).network.learner.state_dict().items()}
    published_by_coop(tmp_path / "theirs", **tensors)
    options = ["--eval-only", "--model-dir", tmp_path / "theirs", "--load-epoch", 50]
    world.train(trainer="CoCoOp", options=options).worked("epoch = 50", "accuracy")


def test_their_folder_itself_says_how_to_make_a_run_of_it(end_tool, tmp_path):
    published_by_coop(tmp_path / "theirs", ctx=CTX)
    ended = end_tool(predict.main, tmp_path / "theirs", "a.jpg")
    ended.refused("no run in", "no config.yaml", "--eval-only --model-dir", "--output-dir")


SAFE = {
    "empty": (b"", "cannot read"),
    "cut off": (None, "cannot read"),
    "a header longer than the file": (struct.pack("<Q", 2**40), "cannot read"),
    "a header that is no JSON": (struct.pack("<Q", 8) + b"{not js}", "cannot read"),
    "a header that is a list": (struct.pack("<Q", 8) + b"[      ]", "cannot read"),
    "offsets outside of the file": (
        struct.pack("<Q", 72) + b'{"ctx":{"dtype":"F32","shape":[4],"data_offsets":[0,1600000]}}'.ljust(72),
        "cannot read",
    ),
    "a pickle": (pickle.dumps({"ctx": 1}), "cannot read"),
    "a zip": (b"PK\x03\x04" + b"\0" * 60, "cannot read"),
}  # fmt: skip


@pytest.mark.parametrize("case", SAFE)
def test_prompts_with_a_bad_header(copy_of, end_tool, tmp_path, case):
    content, words = SAFE[case]
    run = copy_of("CoOp")
    path = run / PROMPTS
    path.write_bytes(path.read_bytes()[:-10] if content is None else content)
    (tmp_path / "a.jpg").write_bytes(picture(0))
    for checkpoint in (run, path):
        end_tool(predict.main, checkpoint, tmp_path / "a.jpg").refused(words, str(path))


FACTS = {
    "no JSON": ("{", "cannot read"),
    "a list": ("[1]", "cannot read"),
    "class names as a text": ('{"classnames": "cat"}', "no list of names"),
    "class names as numbers": ('{"classnames": [1]}', "no list of names"),
    "deep": ("[" * 100000, "cannot read"),
    "hash as a number": ('{"backbone_sha256": 7}', "no text"),
}


@pytest.mark.parametrize("case", FACTS)
def test_prompts_whose_facts_are_none(copy_of, end_tool, tmp_path, case):
    facts, words = FACTS[case]
    path = copy_of("CoOp") / PROMPTS
    save_file({"ctx": CTX}, path, {"upt": facts})
    (tmp_path / "a.jpg").write_bytes(picture(0))
    for checkpoint in (path.parent, path):
        end_tool(predict.main, checkpoint, tmp_path / "a.jpg").refused(words, str(path))


@pytest.mark.parametrize("trainer", ["CoOp", "CoCoOp", "VPT", "UPT", "LinearProbe"])
def test_the_header_says_what_the_run_was(trained, trainer):
    path = trained[trainer] / PROMPTS
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["upt"])
    result = json.loads((path.parent / "result.json").read_text())
    for name in ("trainer", "dataset", "backbone", "backbone_sha256", "accuracy", "n_classes", "seed"):
        assert facts[name] == result[name]
    assert facts["classnames"] == ["abyssinian", "american_bulldog", "great_pyrenees"]
    expected = {"CoOp": " ".join(f"[{i}]" for i in range(1, 17)) + " {}.", "VPT": "a photo of a {}, a type of pet ."}
    assert facts["template"] == expected.get(trainer, facts["template"]) and "{}" in facts["template"]
    assert facts["config"]["TRAINER"][trainer.upper()] and "ROOT" not in facts["config"]["DATASET"]
    assert path.stat().st_size < 2**20


@pytest.mark.parametrize("trainer", ["CoOp", "CoCoOp", "VPT", "UPT", "LinearProbe"])
def test_the_file_alone_is_enough(trained, tmp_path, end_tool, trainer):
    (tmp_path / PROMPTS).write_bytes((trained[trainer] / PROMPTS).read_bytes())
    (tmp_path / "a.jpg").write_bytes(picture(1))
    whole, alone = trainers.load(trained[trainer]), trainers.load(tmp_path / PROMPTS)
    assert alone.classnames == whole.classnames
    torch.testing.assert_close(alone.predict(tmp_path / "a.jpg"), whole.predict(tmp_path / "a.jpg"))
    ended = end_tool(predict.main, tmp_path / PROMPTS, tmp_path / "a.jpg", "--epoch", 1)
    ended.refused("has no epochs", "output directory")


@pytest.mark.parametrize("trainer", ["CoOp", "VPT", "UPT", "LinearProbe"])
def test_train_py_tests_the_file_alone(world, trained, trainer):
    path = trained[trainer] / PROMPTS
    world.train(trainer=trainer, options=["--eval-only", "--model-dir", path]).worked("(epoch = 1)")
    there, here = (json.loads((run / "result.json").read_text()) for run in (trained[trainer], world.run_dir))
    assert here["prompts_sha256"] == there["prompts_sha256"] and here["accuracy"] == there["accuracy"]
    world.run_dir, other = world.root / "other", "CoCoOp"
    world.train(trainer=other, options=["--eval-only", "--model-dir", path]).refused(f"{path} does not fit CoCoOp")
    world.run_dir = world.root / "a third one"
    world.train(trainer=trainer, options=["--eval-only", "--model-dir", path, "--load-epoch", 1]).refused("no epochs")


def test_prompts_of_another_method_or_backbone(trained, copy_of, end_tool, tmp_path):
    run = copy_of("CoOp")
    (run / PROMPTS).write_bytes((trained["VPT"] / PROMPTS).read_bytes())
    end_tool(export.main, run).refused("does not fit CoOp", "ctx is (1, 4, 64), expected (16, 64)")


@pytest.mark.parametrize("trainer", ["CoOp", "CoCoOp", "VPT", "UPT"])
def test_prompts_on_another_data_set(world, trained, trainer):
    make_folder(world.root / "data", "mine", ("",))
    out = evaluate(
        world, trained[trainer], "DATASET.NAME", "FolderDataset", "DATASET.FOLDER", "mine", trainer=trainer
    ).worked("accuracy")
    assert "Loading weights" in out
    facts = json.loads((world.run_dir / "result.json").read_text())
    assert (facts["dataset"], facts["n_classes"], facts["epochs"]) == ("FolderDataset", 3, 1)


@pytest.mark.parametrize("trainer", ["LinearProbe", "CoOp"])
def test_weights_of_other_classes_on_another_data_set(world, trained, trainer):
    make_folder(world.root / "data", "mine", ("",))
    run, csc = trained[trainer], []
    if trainer == "CoOp":
        csc = ["TRAINER.COOP.CSC", "True"]
        world.train(*csc).worked("accuracy")
        run, world.run_dir = world.run_dir, world.root / "other"
    keys = ["DATASET.NAME", "FolderDataset", "DATASET.FOLDER", "mine", *csc]
    evaluate(world, run, *keys, trainer=trainer).refused("weights for its own classes", "abyssinian", "cat")


@pytest.mark.parametrize("precision", ["bf16", "amp", "fp16", "fp32"])
@pytest.mark.parametrize("trainer", ["CoOp", "VPT", "UPT"])
def test_prompts_in_another_precision(world, trained, trainer, precision, monkeypatch):
    monkeypatch.setattr("upt_clip.trainers.core.clip.precision._half_dtype", lambda device: torch.bfloat16)
    evaluate(world, trained[trainer], f"TRAINER.{trainer.upper()}.PREC", precision, trainer=trainer).worked("accuracy")
    said = json.loads((world.run_dir / "result.json").read_text())["precision"]
    assert said == {"bf16": "bf16", "amp": "amp_bf16", "fp16": "bf16", "fp32": "fp32"}[precision]


def clip_file(path: Path, content: object) -> str:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    return str(path)


def zipped(path: Path) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/code/a.py", "raise SystemExit")
    return path.read_bytes()


BACKBONES = {
    "empty": (b"", "cannot read the CLIP checkpoint"),
    "text": (b"version https://git-lfs.github.com/spec/v1\noid sha256:40d36\nsize 353976522\n", "cannot read the CLIP"),
    "another network": (torch.nn.Linear(3, 3).state_dict(), "is not a CLIP checkpoint in OpenAI's format"),
    "a list": ([1], "is not a CLIP checkpoint"),
    "scalars": (dict.fromkeys(("visual.proj", "visual.conv1.weight"), torch.tensor(1.0)), "is not a CLIP checkpoint"),
    "a whole module": (torch.nn.Linear(3, 3), "cannot read the CLIP checkpoint"),
}  # fmt: skip


@pytest.mark.parametrize("case", BACKBONES)
def test_a_backbone_that_is_no_clip(world, tmp_path, case):
    content, words = BACKBONES[case]
    world.backbone = clip_file(tmp_path / "clip.pt", content)
    world.train().refused(words, "clip.pt")


def test_backbones_that_are_damaged(world, tmp_path):
    whole = Path(world.backbone).read_bytes()
    for content in (whole[: len(whole) // 2], whole[:-20], zipped(tmp_path / "zip")):
        world.backbone = clip_file(tmp_path / "clip.pt", content)
        world.train().refused("cannot read the CLIP checkpoint", "clip.pt")
    world.backbone = tmp_path
    world.train().refused("unknown backbone", "path of a checkpoint")
