"""`upt-clip test`: the numbers of the run's own test again, on its own data and on others, and nothing left behind."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.trainers.conftest import build, config, pets_root  # noqa: F401
from tests.trainers.test_predictor import METHODS, finished  # noqa: F401
from tests.trees import contents, make_dtd, make_folder
from upt_clip.__main__ import main
from upt_clip.tools.use import rerun


def result_of(directory: Path) -> dict:
    return json.loads((directory / "result.json").read_text())


def run_test(capsys, *words) -> str:
    """The last line of its output."""
    assert main(["test", *map(str, words)]) == 0, capsys.readouterr().err
    return capsys.readouterr().out.strip().splitlines()[-1]


@pytest.mark.parametrize("name", METHODS)
def test_its_own_data_give_its_own_numbers_and_nothing_is_left_behind(finished, name, tmp_path, monkeypatch, capsys):  # noqa: F811
    run = finished(name)
    before, there = contents(run), result_of(run)
    monkeypatch.chdir(tmp_path)
    said = run_test(capsys, run)
    assert said.startswith(f"{there['trainer']} on OxfordPets: accuracy {there['accuracy']:.2f} %, macro F1 ")
    assert said.endswith(f"({there['n_test']} pictures of 4 classes)")
    assert contents(run) == before and not list(tmp_path.iterdir())
    run_test(capsys, run, "--output", "kept")
    kept = result_of(tmp_path / "kept")
    same = ("accuracy", "macro_f1", "prompts_sha256", "few_shot_sha256", "backbone_sha256", "epochs", "n_test")
    assert {key: kept[key] for key in same} == {key: there[key] for key in same}
    assert (tmp_path / "kept/predictions.csv").read_bytes() == (run / "predictions.csv").read_bytes()
    assert contents(run) == before


def test_the_prompts_alone_are_enough(finished, pets_root, tmp_path, capsys):  # noqa: F811
    run = finished("UPT")
    shutil.copy(run / "prompts.safetensors", tmp_path)
    said = run_test(capsys, run)
    assert run_test(capsys, tmp_path / "prompts.safetensors", "--root", pets_root) == said
    moved = tmp_path / "moved"  # with no checkpoint of Dassl's
    moved.mkdir()
    for name in ("config.yaml", "prompts.safetensors"):
        shutil.copy(run / name, moved)
    assert run_test(capsys, moved) == said
    assert run_test(capsys, run, "--epoch", 1) == said


def test_other_data_by_name_and_by_path(finished, tmp_path, monkeypatch, capsys):  # noqa: F811
    """The prompts get the other data's classes, and no key of the run's own data stays."""
    monkeypatch.chdir(tmp_path)
    make_dtd(tmp_path / "data", 5)
    make_folder(tmp_path, "photos", parts=("train", "test"))
    run = tmp_path / "run"
    shutil.copytree(finished("UPT"), run)
    changed = yaml.safe_load((run / "config.yaml").read_text())
    changed["DATASET"] |= {"TEMPLATE": "a {} of its own.", "SUBSAMPLE_CLASSES": "base", "SPLIT_FILE": "gone.json"}
    (run / "config.yaml").write_text(yaml.safe_dump(changed))
    words = (run, "--data", "dtd", "--root", "data", "--output", "on dtd")
    assert "UPT on DescribableTextures: " in run_test(capsys, *words)
    now = result_of(tmp_path / "on dtd")
    assert (now["n_classes"], now["classes"], now["dataset"]) == (5, "all", "DescribableTextures")
    assert not now["config"]["DATASET"]["TEMPLATE"] and not now["config"]["DATASET"]["SPLIT_FILE"]
    assert now["prompts_sha256"] == result_of(run)["prompts_sha256"]
    for photos in ("photos", "./photos/", tmp_path / "photos"):
        assert run_test(capsys, run, "--data", photos).endswith("(24 pictures of 3 classes)")
    said = run_test(capsys, run, "--data", "photos", "--classes", "base")
    assert said.startswith("UPT on photos: ") and said.endswith("(16 pictures of 2 base classes)")
    before = contents(tmp_path / "on dtd")
    assert rerun.main(["on dtd"]) == 0 and contents(tmp_path / "on dtd") == before


def test_keys_may_be_changed(finished, capsys):  # noqa: F811
    run = finished("UPT")
    assert run_test(capsys, run, "DATALOADER.TEST.BATCH_SIZE", "3") == run_test(capsys, run)
    half = run_test(capsys, run, "DATASET.SUBSAMPLE_CLASSES", "new", "--any-backbone")  # an option may follow keys
    assert half.endswith("2 new classes)") and half == run_test(capsys, run, "--classes", "new")
    main(["test", str(run), "TEST.SPLIT", "val"])
    assert "* accuracy: " in capsys.readouterr().out  # val has no result.json


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("{run}", "--output", "{run}"), "where the run itself is"),
        (("{run}/prompts.safetensors", "--output", "{run}"), "where the run itself is"),
        (("{run}", "--data", "photos", "--output", "photos/tested"), "choose an output folder outside it"),
        (("{run}", "--data", "nothing"), 'unknown data set "nothing"'),
        (("{run}", "--classes", "old"), "must be all, base or new"),
        (("{run}", "--epoch", "7"), "model.pth.tar-7"),
        (("{run}", "OPTIM.LRR", "1"), "did you mean OPTIM.LR?"),
        (("{run}", "more"), "-h lists all options"),
        (("nowhere",), "no run in nowhere"),
        ((), "-h lists all options"),
    ],
)
def test_what_makes_no_sense_is_one_line(finished, tmp_path, monkeypatch, capsys, words, message):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    make_folder(tmp_path, "photos")
    run, before = finished("UPT"), contents(tmp_path)
    assert main(["test", *(word.format(run=run) for word in words)]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]  # before it there may be the bar of loading
    assert error.startswith("error: ") and message in error and contents(tmp_path) == before


@pytest.mark.parametrize("name", ["LinearProbe", "CoOp class-specific"])
def test_weights_of_the_runs_own_classes_are_tested_with_no_others(finished, name, tmp_path, capsys):  # noqa: F811
    make_folder(tmp_path, "photos", classes=("ant", "bee", "cat", "dog"))  # as many, but others
    assert main(["test", str(finished(name)), "--data", str(tmp_path / "photos")]) == 2
    assert "has weights for its own classes" in capsys.readouterr().err
