"""Few-shot draws and base/new classes, against a plain restatement of CoOp's rules."""

import hashlib
import json
import random

import pytest

from tests.trees import make_fgvc_aircraft, make_imagenet, make_oxford_pets


def expected_draw(split: dict, shots: int, seed: int):
    """Seed the global generator; for train, then val: per class in order of appearance, draw from its list."""
    random.seed(seed)
    drawn = []
    for part, n in (("train", shots), ("val", min(shots, 4))):
        order = list(dict.fromkeys(label for _, label, _ in split[part]))
        for label in order:
            mine = [tuple(entry) for entry in split[part] if entry[1] == label]
            drawn.append((part, random.sample(mine, n) if len(mine) >= n else mine))
    return [[item for part, items in drawn if part == wanted for item in items] for wanted in ("train", "val")]


@pytest.fixture
def pets(tmp_path):
    """The folder and the split of 5 shuffled classes with 20 train pictures, one of them with 3."""
    folder = make_oxford_pets(tmp_path, classes=5, per_class=40)
    path = folder / "split_zhou_OxfordPets.json"
    split = json.loads(path.read_text())
    random.Random(0).shuffle(split["train"])
    few = [entry for entry in split["train"] if entry[1] == 2][3:]
    split["train"] = [entry for entry in split["train"] if entry not in few]
    path.write_text(json.dumps(split))
    return folder, split


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
@pytest.mark.parametrize("shots", [1, 2, 4, 8, 16])
def test_the_draw_is_coops(pets, build, rows, shots, seed):
    folder, split = pets
    dataset = build("OxfordPets", folder.parent, seed=seed, NUM_SHOTS=shots)
    train, val = expected_draw(split, shots, seed)
    assert rows(dataset.train_x, folder / "images") == train
    assert rows(dataset.val, folder / "images") == val
    assert rows(dataset.test, folder / "images") == [tuple(entry) for entry in split["test"]]


def test_the_draw_neither_uses_nor_moves_the_global_generator(pets, build):
    random.seed(5)
    state = random.getstate()
    build("OxfordPets", pets[0].parent, NUM_SHOTS=2)
    assert random.getstate() == state


def test_the_second_run_takes_the_same_pictures_from_the_cache(pets, build, rows, capsys):
    folder, _ = pets
    first = rows(build("OxfordPets", folder.parent, NUM_SHOTS=2).train_x, folder)
    assert "Saving preprocessed few-shot data to" in capsys.readouterr().out
    second = rows(build("OxfordPets", folder.parent, NUM_SHOTS=2).train_x, folder)
    assert "Loading preprocessed few-shot data from" in capsys.readouterr().out
    assert first == second


def test_all_pictures_without_shots(pets, build):
    dataset = build("OxfordPets", pets[0].parent, NUM_SHOTS=-1)
    assert len(dataset.train_x) == len(pets[1]["train"])


@pytest.mark.parametrize("shots", [0, -2])
def test_impossible_shots(pets, build, shots):
    with pytest.raises(ValueError, match=f"NUM_SHOTS is {shots}; it must be 1 or more, or -1"):
        build("OxfordPets", pets[0].parent, NUM_SHOTS=shots)


def test_short_classes_are_named(pets, build, capsys):
    build("OxfordPets", pets[0].parent, NUM_SHOTS=16)
    assert "Fewer than 16 train pictures, all are used: great_pyrenees (3)\n" in capsys.readouterr().out


def test_no_seed_draws_anew_and_keeps_nothing(pets, build, rows, capsys):
    folder, _ = pets
    draws = {tuple(rows(build("OxfordPets", folder.parent, seed=-1, NUM_SHOTS=4).train_x, folder)) for _ in range(4)}
    assert len(draws) > 1
    assert "preprocessed" not in capsys.readouterr().out


@pytest.mark.parametrize(("subsample", "kept"), [("base", [0, 1, 2]), ("new", [3, 4])])
def test_base_and_new_classes(pets, build, rows, capsys, subsample, kept):
    folder, split = pets
    everything = build("OxfordPets", folder.parent, NUM_SHOTS=4)
    half = build("OxfordPets", folder.parent, NUM_SHOTS=4, SUBSAMPLE_CLASSES=subsample)
    assert f"SUBSAMPLE {subsample.upper()} CLASSES!\n" in capsys.readouterr().out
    assert half.classnames == [everything.classnames[label] for label in kept]
    for part in ("train_x", "val", "test"):
        chosen = [
            (path, kept.index(label), name)
            for path, label, name in rows(getattr(everything, part), folder)
            if label in kept
        ]
        assert rows(getattr(half, part), folder) == chosen


def test_unknown_class_selection(pets, build):
    with pytest.raises(ValueError, match="SUBSAMPLE_CLASSES is 'old'; it must be all, base or new"):
        build("OxfordPets", pets[0].parent, SUBSAMPLE_CLASSES="old")


def test_split_hash_is_over_the_drawn_train_list(pets, build, rows):
    folder, split = pets
    dataset = build("OxfordPets", folder.parent, NUM_SHOTS=2)
    lines = "".join(f"{path}\t{label}\t{name}\n" for path, label, name in expected_draw(split, 2, 1)[0])
    assert dataset.split_sha256 == hashlib.sha256(lines.encode()).hexdigest()
    assert build("OxfordPets", folder.parent, NUM_SHOTS=2, SUBSAMPLE_CLASSES="new").split_sha256 == dataset.split_sha256
    assert build("OxfordPets", folder.parent, NUM_SHOTS=2, seed=2).split_sha256 != dataset.split_sha256
    assert dataset.image_dir == folder / "images"


def test_sets_without_a_split_file_are_drawn_the_same_way(tmp_path, build, rows):
    folder = make_fgvc_aircraft(tmp_path, per_class=20)
    full = build("FGVCAircraft", tmp_path)
    split = {"train": rows(full.train_x, folder), "val": rows(full.val, folder)}
    few = build("FGVCAircraft", tmp_path, NUM_SHOTS=4)
    assert [rows(few.train_x, folder), rows(few.val, folder)] == expected_draw(split, 4, 1)


def test_imagenet_draws_train_only_and_validates_on_its_test_set(tmp_path, build, rows):
    folder = make_imagenet(tmp_path)
    split = {"train": rows(build("ImageNet", tmp_path).train_x, folder), "val": []}
    few = build("ImageNet", tmp_path, NUM_SHOTS=3)
    assert rows(few.train_x, folder) == expected_draw(split, 3, 1)[0]
    assert rows(few.val, folder) == rows(few.test, folder)
