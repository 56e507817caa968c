"""Tests of reading an output folder: each kind of directory, and results that are not what the directory says."""

import json

import pytest

from upt_clip.tools.tables import results


def put(output, directory, accuracy=50.0, **result):
    path = output / directory / "result.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"accuracy": accuracy, **result}))
    return path


@pytest.mark.parametrize(
    ("directory", "expected"),
    [
        ("pets/UPT/vit_b16_paper_16shots/seed2", ("few_shot", "pets", "UPT", "vit_b16_paper", "", 16, 2, "all")),
        ("pets/UPT/p_1shots/MIXER-joint/seed1", ("few_shot", "pets", "UPT", "p", "MIXER-joint", 1, 1, "all")),
        ("ZeroshotCLIP/vit_b16/pets", ("zero_shot", "pets", "ZeroshotCLIP", "vit_b16", "", None, None, "all")),
        ("ZeroshotCLIP/p/SIZE-32/pets", ("zero_shot", "pets", "ZeroshotCLIP", "p", "SIZE-32", None, None, "all")),
        (
            "base2new/train_base/dtd/shots_16/CoOp/c4/seed3",
            ("base2new", "dtd", "CoOp", "c4", "", 16, 3, "base"),
        ),
        (
            "base2new/test_new/dtd/shots_16/CoOp/c4/N_CTX-8/seed3",
            ("base2new", "dtd", "CoOp", "c4", "N_CTX-8", 16, 3, "new"),
        ),
        (
            "base2new/test_base/dtd/ZeroshotCLIP/vit_b16",
            ("base2new", "dtd", "ZeroshotCLIP", "vit_b16", "", None, None, "base"),
        ),
        (
            "base2new/test_new/dtd/ZeroshotCLIP/vit_b16",
            ("base2new", "dtd", "ZeroshotCLIP", "vit_b16", "", None, None, "new"),
        ),
        (
            "evaluation/UPT/paper_16shots/imagenet_a/seed1",
            ("evaluation", "imagenet_a", "UPT", "paper", "", 16, 1, "all"),
        ),
        (
            "evaluation/UPT/paper_16shots/MIXER-mlp/imagenet_a/seed1",
            ("evaluation", "imagenet_a", "UPT", "paper", "MIXER-mlp", 16, 1, "all"),
        ),
    ],
)
def test_directory_names_the_run(tmp_path, directory, expected):
    path = put(tmp_path, directory, 12.5)
    (record,) = results.scan(tmp_path)
    names = ("protocol", "dataset", "trainer", "cfg", "variant", "shots", "seed", "classes")
    assert tuple(getattr(record, name) for name in names) == expected
    assert record.result["accuracy"] == 12.5 and record.directory == path.parent


def test_other_places_and_no_folder_give_nothing(tmp_path):
    put(tmp_path, "demo")
    put(tmp_path, "some/run")
    assert results.scan(tmp_path) == []
    assert results.scan(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("directory", "result"),
    [
        ("pets/UPT/paper_16shots/seed2", {"seed": 1}),
        ("pets/UPT/paper_16shots/seed2", {"trainer": "VPT"}),
        ("pets/UPT/paper_16shots/seed2", {"shots": 8}),
        ("base2new/test_new/pets/shots_16/UPT/paper/seed1", {"classes": "all"}),
        ("base2new/train_base/pets/shots_16/UPT/paper/seed1", {"classes": "new"}),
    ],
)
def test_a_result_of_another_run_is_an_error(tmp_path, directory, result):
    put(tmp_path, directory, **result)
    with pytest.raises(ValueError, match="its directory says"):
        results.scan(tmp_path)


def test_a_damaged_result_is_an_error(tmp_path):
    path = put(tmp_path, "pets/UPT/paper_16shots/seed2")
    path.write_text("{")
    with pytest.raises(ValueError, match="no result of a run"):
        results.scan(tmp_path)


def test_order_of_trainers():
    names = ["Zeta", "UPT", "Alpha", "CoOp", "ZeroshotCLIP", "VPT", "CoCoOp", "LinearProbe"]
    expected = ["ZeroshotCLIP", "LinearProbe", "CoOp", "CoCoOp", "VPT", "UPT", "Alpha", "Zeta"]
    assert sorted(names, key=results.trainer_key) == expected


def test_spread_has_ddof_1():
    assert results.mean_and_spread([1.0, 3.0]) == (2.0, pytest.approx(2**0.5))
    assert results.mean_and_spread([1.0]) == (1.0, None)
    assert results.cell([1.0, 3.0]) == "2.0 ± 1.4"
