"""The command that classifies pictures: what it prints, what it passes over, how it ends."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.tools.use.test_export import HAS_PT2
from tests.trainers.conftest import build, config, pets_root  # noqa: F401
from tests.trainers.test_predictor import finished, put_in_place  # noqa: F401
from upt_clip import trainers
from upt_clip.tools.use import attention, export, nearest_words, predict, test

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path):
    """Pictures in two folders, one of them no picture, and a file that does not claim to be one."""
    (tmp_path / "in/deep").mkdir(parents=True)
    for i, name in enumerate(("b.PNG", "a.jpg", "deep/c.webp")):
        Image.new("RGB", (30, 40), (40 * i, 90, 200 - 60 * i)).save(tmp_path / "in" / name)
    (tmp_path / "in/notes.txt").write_text("no picture")
    return tmp_path / "in"


def run(capsys, *arguments):
    status = predict.main([str(a) for a in arguments])
    return status, *capsys.readouterr()


def test_folders_are_read_whole_and_lines_are_json(finished, folder, capsys):  # noqa: F811
    directory = finished("UPT")
    status, out, _ = run(capsys, directory, folder, "--json", "--top", 2, "--batch-size", 2)
    lines = [json.loads(line) for line in out.splitlines()]
    assert status == 0 and [Path(line["image"]).name for line in lines] == ["a.jpg", "b.PNG", "c.webp"]
    model = trainers.load(directory)
    for line, p in zip(lines, model.predict([line["image"] for line in lines]), strict=True):
        values, ids = p.topk(2)
        assert [one["class"] for one in line["predictions"]] == [model.classnames[i] for i in ids]
        assert [one["probability"] for one in line["predictions"]] == pytest.approx(values.tolist(), rel=1e-4)


def test_other_classes_from_a_list_on_stdin(finished, folder, capsys, monkeypatch):  # noqa: F811
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{folder}/a.jpg\n\n{folder}/b.PNG\n"))
    status, out, _ = run(capsys, finished("UPT"), "-", "--classes", "tea pot, dog", "--top", "9")
    assert status == 0 and len(out.splitlines()) == 2
    for line in out.splitlines():
        path, *classes = line.split("\t")
        assert {name.rsplit(" ", 2)[0] for name in classes} == {"tea pot", "dog"} and path.startswith(str(folder))
        assert sum(float(name.split()[-2]) for name in classes) == pytest.approx(100, abs=0.2)


def test_class_names_from_a_file_may_have_commas(tmp_path):
    (tmp_path / "names.txt").write_text("phone, computer or camera\ndog\n", encoding="utf-8")
    assert predict.class_names(str(tmp_path / "names.txt")) == ["phone, computer or camera", "dog"]
    assert predict.class_names("tea pot, dog") == ["tea pot", "dog"]


def test_unreadable_pictures_are_named_and_the_others_predicted(finished, folder, capsys):  # noqa: F811
    (folder / "broken.jpg").write_bytes((folder / "a.jpg").read_bytes()[:100])
    status, out, err = run(capsys, finished("UPT"), folder, folder / "gone.png", "--batch-size", 1)
    assert status == 1 and len(out.splitlines()) == 3
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2 and "broken.jpg" in errors[0] and "gone.png (no such file)" in errors[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.jpg", "--top", "0"], "--top is 0"),
        (["a.jpg", "--classes", "cat,,dog"], "class names are"),
        (["a.jpg", "--batch-size", "0"], "batch_size is 0"),
        (["a.jpg", "--epoch", "7"], "model.pth.tar-7"),
    ],
)
def test_what_makes_no_sense_is_said(finished, arguments, message):  # noqa: F811
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        predict.main([str(finished("UPT")), *arguments])


def test_a_path_given_twice_is_answered_twice(finished, folder, capsys):  # noqa: F811
    status, out, _ = run(capsys, finished("UPT"), folder / "a.jpg", folder / "a.jpg")
    assert status == 0 and len(out.splitlines()) == 2


def test_an_empty_folder_is_an_error(finished, tmp_path):  # noqa: F811
    with pytest.raises(ValueError, match="no pictures in"):
        predict.main([str(finished("UPT")), str(tmp_path)])


def test_a_user_error_is_one_line_and_status_2(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    command = [
        sys.executable,
        "-m",
        "upt_clip",
        "predict",
        str(tmp_path),
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ}, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: no run in") and done.stderr.count("\n") == 1


def test_the_documents_commands(finished, tmp_path, monkeypatch, capsys):  # noqa: F811
    """The commands of docs/USE.md, in a folder that looks like the checkout after `make demo`."""
    text = (ROOT / "docs/USE.md").read_text(encoding="utf-8")
    put_in_place(finished("UPT"), text, tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few").mkdir()
    Image.new("RGB", (20, 30)).save(tmp_path / "few/a.webp")
    commands = re.findall(r"^upt-clip (\w+) (.*)$", text, re.MULTILINE)
    tools = {"predict": predict, "words": nearest_words, "attention": attention, "export": export, "test": test}
    assert {name for name, _ in commands} == set(tools)
    for name, arguments in commands:
        # the folder of all pictures is a long way for a test
        words = ["few" if word == "assets/emoji/noto" else word for word in shlex.split(arguments)]
        words += [] if name != "export" or HAS_PT2 else ["--format", "torchscript"]
        assert tools[name].main(words) == 0, arguments
        assert capsys.readouterr().out
