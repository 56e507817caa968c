"""Tools that are given folders without runs, or runs that are damaged."""

import json

import pytest

from tests.trees import picture
from upt_clip.tools.report import page
from upt_clip.tools.tables import plot, table
from upt_clip.tools.use import attention, export, nearest_words, predict, rerun

LOADING = {
    "predict": (predict.main, lambda run, image: [run, image]),
    "export": (export.main, lambda run, image: [run]),
    "nearest_words": (nearest_words.main, lambda run, image: [run]),
    "attention": (attention.main, lambda run, image: [run, image]),
}


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(picture(0))
    return path


def no_config(run):
    (run / "config.yaml").unlink()


def write_config(text):
    return lambda run: (run / "config.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())


def change_config(old, new):
    def change(run):
        text = (run / "config.yaml").read_text()
        assert old in text
        (run / "config.yaml").write_text(text.replace(old, new))

    return change


def no_prompts(run):
    (run / "prompts.safetensors").unlink()
    for path in (run / "prompt_learner").iterdir():
        path.unlink()


# what is done to a finished run -> what the one line says
DAMAGES = {
    "no config": (no_config, ["no run in", "no config.yaml"]),
    "empty config": (write_config(""), ["config.yaml", "keys and values"]),
    "config that is a list": (write_config("[1]"), ["config.yaml", "keys and values"]),
    "config of other bytes": (write_config(b"\xff\x00"), ["config.yaml"]),
    "config without a trainer": (write_config("SEED: 1"), ["config.yaml", "TRAINER"]),
    "config of a foreign trainer": (change_config("NAME: CoOp", "NAME: CoPo"), ['"CoPo"', "no trainer here", "CoOp"]),
    "config with code": (write_config("TRAINER: !!python/object/apply:os.getpid []"), ["config.yaml"]),
    "config of another size": (change_config("- 32\n  - 32", "- 64\n  - 64"), ["INPUT.SIZE", "takes (32, 32)"]),
    "config of more prompts": (change_config("N_CTX: 16", "N_CTX: 8"), ["does not fit CoOp", "expected (8, 64)"]),
    "senseless config": (change_config("MAX_EPOCH: 1\n", "MAX_EPOCH: 0\n"), ["config.yaml", "MAX_EPOCH is 0"]),
    "no prompts": (no_prompts, ["Model not found", "there: nothing"]),
    "a backbone that has gone": (change_config("tiny.pt", "gone.pt"), ["unknown backbone", "gone.pt"]),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGES)
@pytest.mark.parametrize("tool", LOADING)
def test_a_run_that_is_damaged(copy_of, end_tool, image, tool, case):
    damage, words = DAMAGES[case]
    run = copy_of("CoOp")
    damage(run)
    main, arguments = LOADING[tool]
    end_tool(main, *arguments(run, image)).refused(*words)


@pytest.mark.parametrize("tool", LOADING)
def test_no_run_at_all(end_tool, image, tmp_path, trained, tool):
    main, arguments = LOADING[tool]
    (tmp_path / "empty").mkdir()
    end_tool(main, *arguments(tmp_path / "empty", image)).refused("no run in", "empty", "output directory")
    end_tool(main, *arguments(tmp_path / "gone", image)).refused("no run in", "gone")
    end_tool(main, *arguments(trained["CoOp"].parent, image)).refused("there are runs in", str(trained["CoOp"]))


def test_a_damaged_config_in_the_output_folder_of_a_training(world):
    world.run_dir.mkdir()
    (world.run_dir / "config.yaml").write_text("OPTIM: [")
    world.train().refused("config.yaml")


def test_class_names_that_are_wrong(trained, end_tool, image, tmp_path):
    (tmp_path / "names.txt").write_bytes(b"\xff\xfe")
    arguments = [trained["CoOp"], image, "--classes"]
    end_tool(predict.main, *arguments, tmp_path / "names.txt").refused("names.txt is no UTF-8 text")
    end_tool(predict.main, *arguments, "cat,cat").refused("given twice: cat")
    end_tool(predict.main, *arguments, "cat,").refused("class names are ['cat', '']")
    end_tool(predict.main, *arguments, f"cat,{'very ' * 90}long").refused("CLIP reads 77")
    many = ",".join(f"class {i}" for i in range(500))  # longer than the name of a file may be
    assert end_tool(predict.main, *arguments, many, "--top", 500).out.count("class ") == 500


TABLES = {
    "table": (table.main, lambda output: ["few_shot", output]),
    "plot": (plot.main, lambda output: [output, "--out", output / "pictures"]),
    "report": (page.main, lambda output: [output]),
}


@pytest.mark.parametrize("tool", TABLES)
@pytest.mark.parametrize("place", ["empty", "gone"])
def test_no_runs_to_show(end_tool, tmp_path, tool, place):
    main, arguments = TABLES[tool]
    (tmp_path / "empty").mkdir()
    end_tool(main, *arguments(tmp_path / place)).refused("no ", place)


RESULTS = {
    "empty": "",
    "cut off": '{"accuracy": 5',
    "a list": "[1, 2]",
    "a number": "7",
    "no accuracy": "{}",
    "accuracy as a text": '{"accuracy": "90"}',
    "accuracy that is no number": '{"accuracy": NaN}',
    "accuracy over 100": '{"accuracy": 1e9}',
    "of another run": {"seed": 2},
    "of another trainer": {"trainer": "VPT"},
    "number of classes as a text": {"n_classes": "many"},
    "no number of parameters": {"trainable_parameters": None},
    "backbone as a number": {"backbone": 7},
    "error rate below 0": {"error_rate": -1.0},
    "deep": "[" * 100000,
}


@pytest.mark.parametrize("tool", TABLES)
@pytest.mark.parametrize("case", RESULTS)
def test_a_result_that_is_damaged(trained, end_tool, tmp_path, tool, case):
    run = tmp_path / "output/oxford_pets/CoOp/vit_b16_c16_1shots/seed1"
    run.mkdir(parents=True)
    content = RESULTS[case]
    if isinstance(content, dict):
        content = json.dumps(json.loads((trained["CoOp"] / "result.json").read_text()) | content)
    (run / "result.json").write_text(content)
    main, arguments = TABLES[tool]
    ended = end_tool(main, *arguments(tmp_path / "output"))
    ended.refused("result.json", "delete")


REPEATED = {
    **{name: RESULTS[name] for name in ("empty", "cut off", "a list", "a number", "no accuracy", "deep")},
    "config that is a list": {"config": [1]},
    "config without data": {"config": {"DATASET": 7}},
    "no command": {"command": []},
    "command of numbers": {"command": [1]},
    "seed as a text": {"seed": "1"},
    "no seed": {"seed": -1},
    "hash that is missing": {"prompts_sha256": None, "config": None},
}


@pytest.mark.parametrize("case", REPEATED)
def test_a_result_that_cannot_be_run_again(trained, end_tool, tmp_path, case):
    content = REPEATED[case]
    if isinstance(content, dict):
        content = json.dumps(json.loads((trained["CoOp"] / "result.json").read_text()) | content)
    (tmp_path / "result.json").write_text(content)
    end_tool(rerun.main, tmp_path / "result.json").refused(f"{tmp_path}/result.json")


def test_no_result_to_run_again(end_tool, tmp_path):
    end_tool(rerun.main, tmp_path).refused("result.json: give a run's")
