"""What a word for data means, whatever form a path has, and where the runs go: never out of the output folder."""

import os
from pathlib import Path

import pytest

from tests.trees import make_folder
from upt_clip import HOME, data_words, train
from upt_clip.__main__ import main
from upt_clip.tools.sweep import commands
from upt_clip.tools.sweep.options import parse_args


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A user's home and working directory, with photos in several places; `data` is the data root."""
    for place in (".", "data", "other", "data/deep"):
        make_folder(tmp_path / place, "photos", parts=("",), classes=("cat", "dog"), per_class=4)
    for name in ("emoji", "data/dtd", "data/2024", "my photos, new", "data/evaluation"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def plan(*words, output="output"):
    return commands.planned(parse_args([*map(str, words), "--output", str(output)]))


def image_dir(run) -> Path:
    """The folder that train.py reads for a planned run."""
    from dassl.data.datasets import DATASET_REGISTRY

    cfg = train.setup_cfg(train.parse_args(run.arguments()))
    return DATASET_REGISTRY.get(cfg.DATASET.NAME).folder(cfg)


@pytest.mark.parametrize(
    ("word", "expected", "name"),
    [
        ("photos", "data/photos", "photos"),  # the data root comes first
        ("photos/", "data/photos", "photos"),
        ("./photos", "photos", "photos"),
        ("./photos/.", "photos", "photos"),
        ("~/photos/", "photos", "photos"),
        ("../{home}/photos", "photos", "photos"),
        ("{absolute}/photos", "photos", "photos"),
        ("{absolute}/data/../photos//", "photos", "photos"),
        ("other/photos", "other/photos", "photos"),  # not below the data root, so from here
        ("deep/photos", "data/deep/photos", "photos"),
        ("other/../data/photos", "data/photos", "photos"),
        ("my photos, new", "my photos, new", "my photos, new"),
        ("2024", "data/2024", "2024"),  # a text, also where a config would take it for a number
        ("./emoji", "emoji", "emoji-*"),  # the name is a data set's
        ("data/dtd", "data/dtd", "dtd-*"),
        ("evaluation", "data/evaluation", "evaluation-*"),  # the layout's
    ],
)
def test_any_form_of_a_path(home, word, expected, name):
    for script in ("train", "base2new"):
        runs = plan(script, word.format(home=home.name, absolute=home), "--cfg", "pocket", "--seeds", "1")
        for run in runs:
            below = run.directory.relative_to(home / "output")
            assert any(Path(part).match(name) for part in below.parts), below
            assert image_dir(run) == home / expected
    assert not (home / "output").exists()  # a plan writes nothing


def test_data_sets_come_before_folders_and_several_words_may_be_given(home):
    assert data_words.find("emoji", "data") == "emoji" and data_words.find("dtd", "data") == "dtd"
    words = ("reproduce", "few_shot", "--datasets", "emoji,photos", "./other/photos", "my photos, new", "--seeds", "1")
    runs = plan(*words, "--shots", "1", "--trainers", "UPT")
    names = list(dict.fromkeys(run.dataset for run in runs))
    assert names[:2] == ["emoji", "photos"] and names[2].startswith("photos-") and names[3] == "my photos, new"
    assert {run.cfg for run in runs if run.dataset == "photos"} == {"vit_b16", "vit_b16_paper"}


@pytest.mark.parametrize(
    "word", ["", "nothing", "../nothing", "~/nothing", "~nobody/x", "emoji/x", "emoji.yaml", "phot"]
)
def test_what_is_neither_is_said_in_one_line(home, word):
    with pytest.raises(ValueError, match="unknown data set") as caught:
        plan("train", word)
    assert str(home / "data") in str(caught.value) and "\n" not in str(caught.value)
    assert ("did you mean" in str(caught.value)) == ("/" not in word)  # data sets are no guess for a path


def names_of(home, *places, output="output", claim=True) -> list[str]:
    """What the runs of folders are called, one command after the other."""
    names = []
    for place in places:
        root, word = place if isinstance(place, tuple) else ("data", place)
        dataset, output = data_words.find(word, home / root), home / output
        names.append(data_words.run_name(dataset, home / root, output))
        if claim:
            data_words.claim_name(dataset, home / root, output, names[-1])
    return names


def test_two_folders_of_one_name_are_told_apart_whichever_comes_first(home):
    one, other, root = str(home / "photos"), str(home / "other/photos"), "photos"
    first = names_of(home, one, other, root, one, other, root, "./photos/")
    assert first[0] == "photos" and len(set(first)) == 3 and first[3:6] == first[:3] and first[6] == "photos"
    assert all(name.startswith("photos") for name in first)
    second = names_of(home, other, one, output="elsewhere")
    assert second == ["photos", names_of(home, one, output="elsewhere")[0]]


def test_pictures_below_a_data_root_that_has_moved_are_the_same_ones(home):
    assert names_of(home, "photos") == ["photos"]
    assert names_of(home, (".", "photos"))[0].startswith("photos-")  # the other one is still there
    (home / "data").rename(home / "moved")
    assert names_of(home, ("moved", "photos")) == ["photos"]


def test_a_name_that_somebody_took_meanwhile(home):
    one, other = (data_words.find(word, "data") for word in ("./photos", "./other/photos"))
    data_words.claim_name(one, "data", home / "output", "photos")
    data_words.claim_name(one, "data", home / "output", "photos")
    with pytest.raises(ValueError, match="start again"):
        data_words.claim_name(other, "data", home / "output", "photos")


@pytest.mark.parametrize(
    "words",
    [
        ("photos", "--cfg", "../../../configs/trainers/UPT/pocket_c16"),
        ("photos", "--cfg", "{home}/pocket_c16"),
        ("photos", "--cfg", ".."),
        ("photos", "--trainer", "../trainers/UPT"),
        ("photos", "--trainer", "{home}"),
        ("../../../..", "--output", "{home}/output"),
        ("..",),
        (".",),
        ("/",),
        ("../datasets/emoji",),
        ("photos", "A.B", "../../x"),
        ("photos", "OPTIM.LR", "/../../x"),
        ("photos", "DATASET.TEMPLATE", ".."),
        ("photos", "INPUT._", "/"),
    ],
)
@pytest.mark.parametrize("script", ["train", "base2new", "reproduce"])
def test_no_word_leads_out_of_the_output_folder(home, script, words):
    """It is an error, or the runs are in the output folder."""
    words = [word.format(home=home) for word in words]
    words = ["reproduce", "few_shot", "--datasets", *words] if script == "reproduce" else [script, *words]
    output = home / "output"
    try:
        runs = commands.planned(parse_args(words))
    except ValueError as error:
        assert "\n" not in str(error)
        return
    for run in runs:
        where = Path(os.path.normpath(run.directory))
        assert where == run.directory and output in where.parents, where


@pytest.mark.parametrize(
    "words",
    [
        ("train", "./photos", "--output", "photos"),
        ("train", "./photos", "--output", "photos/runs"),
        ("train", "./photos", "--output", "."),  # where the folder itself has the name of its runs
        ("train", "photos", "--output", "link/runs"),
        ("train", "."),
        ("train", "folder", "--output", "photos/runs", "DATASET.FOLDER", "{home}/photos"),
        ("train", "dtd", "--output", "data"),
        ("base2new", "dtd", "--output", "data/dtd/runs"),
        ("base2new", "./photos", "--output", "photos"),
        ("reproduce", "few_shot", "--datasets", "./photos", "--output", "photos"),
    ],
)
def test_runs_in_the_pictures_are_refused_before_anything_is_written(home, words, capsys):
    (home / "link").symlink_to(home / "data/photos")
    words = [word.format(home=home) for word in words]
    before = sorted(home.rglob("*"))
    assert main([*words, "--cfg", "pocket", "--trainer", "UPT"]) == 2
    said = capsys.readouterr().err
    assert "choose an output folder outside it, e.g. " in said and said.count("\n") == 1
    assert sorted(home.rglob("*")) == before


def test_runs_in_the_embedded_pictures_are_refused(home, monkeypatch, capsys):
    monkeypatch.setenv("DRY_RUN", "1")  # they are the project's own: a fault must not harm them
    assert main(["train", "emoji_fine", "--output", str(HOME / "assets/emoji")]) == 2
    assert "choose an output folder outside it, e.g. " in capsys.readouterr().err


def test_train_py_writes_nothing_into_its_data_either(home, capsys):
    words = ["--trainer", "ZeroshotCLIP", "--backbone", "pocket", "--root", "data", "--output-dir", "data/photos/run"]
    assert train.cli([*words, "DATASET.NAME", "FolderDataset", "DATASET.FOLDER", "photos"]) == 2
    assert "lies in the folder of pictures" in capsys.readouterr().err and not (home / "data/photos/run").exists()
