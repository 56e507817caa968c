"""Every command that reads data leaves it as it is, down to the time stamps, and needs no permission to write there.

The data are all fifteen sets in their real layout and a folder of photos. The scripts are tested so, too, by the
fixtures of tests/scripts.
"""

from pathlib import Path

import pytest

from tests import trees
from upt_clip import config_files
from upt_clip.__main__ import COMMANDS, main

KEYS = ["OPTIM.MAX_EPOCH", "1", "DATALOADER.NUM_WORKERS", "0"]
PLAN = ["--cfg", "pocket", "--seeds", "1", "--root", "data", "--output", "runs", *KEYS]
RUN = "runs/photos/UPT/pocket_c16_1shots/MAX_EPOCH-1_NUM_WORKERS-0/seed1"
ZERO_SHOT = ["--seed", "1", "--trainer", "ZeroshotCLIP"]
ZERO_SHOT += ["--config-file", str(config_files.CONFIGS / "trainers/ZeroshotCLIP/pocket.yaml")]
CASES = {
    "train": [["photos", "1", *PLAN]],  # its run and those of "run" are what others start from
    "base2new": [["./photos", "--trainer", "CoOp", *PLAN], ["oxford_pets", "--trainer", "UPT", *PLAN]],
    "reproduce": [["few_shot", "--datasets", "dtd", "photos", "--trainers", "LinearProbe", "--shots", "2", *PLAN]],
    "domain_generalization": [["--source", "imagenet", "--trainer", "VPT", *PLAN]],
    "cross_dataset": [["--source", "imagenet", "--trainer", "ZeroshotCLIP", *PLAN]],
    "run": [
        [*ZERO_SHOT, "--root", "data", "--output-dir", "runs/pets", "DATASET.NAME", "OxfordPets",
         "DATASET.MAKE_SPLIT", "True", *KEYS],
        [*ZERO_SHOT, "--output-dir", "runs/mine", "DATASET.NAME", "FolderDataset", "DATASET.FOLDER", "{photos}", *KEYS],
    ],
    "test": [[RUN], [RUN, "--data", "ucf101", "--root", "data", "--output", "runs/tested"]],
    "rerun": [["runs/pets"], ["runs/mine"]],
    "predict": [[RUN, "photos"]],
    "attention": [[RUN, "photos/cat/00.jpg"]],
    "variance": [["photos", "caltech101:base", "--root", "data", "--output", "runs"]],
    "report": [["runs", "--seeds", "1"]],
    "data": [["check", "--root", "data", "--full"], ["check", "photos", "--hash"]],
}  # fmt: skip
OF_RUNS = {"demo", "table", "plot", "words", "export", "bench"}  # these read runs, or what the project embeds
INCOMPLETE = {("data", "--full")}  # the sets are small copies


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with the data sets in data/ and photos in photos/."""
    folder = tmp_path_factory.mktemp("place")
    for make in trees.MAKERS.values():
        make(folder / "data")
    trees.make_folder(folder, "photos", parts=("",))
    return folder


@pytest.mark.parametrize("command", CASES)
def test_the_data_stay_as_they_are(place, command, monkeypatch, capsys):
    monkeypatch.chdir(place)
    with trees.only_read(place / "data", place / "photos"):
        for words in CASES[command]:
            expected = 1 if (command, words[-1]) in INCOMPLETE else 0
            assert main([command, *(word.format(photos=place / "photos") for word in words)]) == expected, words
    assert {path.name for path in place.iterdir()} <= {"data", "photos", "runs"}


def test_all_commands_are_tested():
    assert CASES.keys() | OF_RUNS == COMMANDS.keys() and not CASES.keys() & OF_RUNS


def test_a_change_of_the_data_would_be_seen(tmp_path):
    for change in (lambda path: (path / "new").touch(), lambda path: (path / "old").write_text("b")):
        (tmp_path / "old").write_text("a")
        with pytest.raises((AssertionError, PermissionError)), trees.only_read(tmp_path):
            change(tmp_path)
