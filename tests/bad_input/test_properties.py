"""Whatever a config or a split file holds: a run that does what was asked, or one line that says what is wrong."""

import ast
import json
import string

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bad_input.conftest import BASE, World
from upt_clip import train
from upt_clip.datasets.split import read_split
from upt_clip.trainers.core.runs.config_check import leaves


def examples(n: int) -> settings:
    """The same examples every time; each one makes its files anew, so that fixtures may be shared."""
    shared = [HealthCheck.function_scoped_fixture]
    return settings(max_examples=n, derandomize=True, deadline=None, database=None, suppress_health_check=shared)


plain = st.one_of(
    st.integers(-3, 100), st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=8),
    st.sampled_from(["sgd", "cosine", "constant", "val", "best_val", "fp16", "new", "a {}", "bicubic", "end"]),
)  # fmt: skip
values = st.one_of(plain, st.lists(plain, max_size=3).map(tuple), st.lists(st.integers(0, 64), min_size=2, max_size=2))
CLIP_LESS = ["--trainer", "UPT", "--backbone", "pocket", "DATASET.NAME", "Emoji"]
BASE_CFG = train.setup_cfg(train.parse_args(CLIP_LESS))
KEYS = sorted(dict(leaves(BASE_CFG)))
CHANGED = ("DATALOADER.NUM_WORKERS", "DATASET.ROOT")  # not more workers than cores; the place where data are by default


def one_line(error: Exception) -> bool:
    return "\n" not in str(error).strip() or isinstance(error, OSError)


def plain_value(value: object) -> object:
    """Lists and tuples are the same to yacs."""
    return [plain_value(one) for one in value] if isinstance(value, (list, tuple)) else value


def given_value(text: str) -> object:
    """What a text on the command line means to yacs."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


@examples(150)
@given(st.dictionaries(st.sampled_from(KEYS), values, min_size=1, max_size=2), st.booleans())
def test_keys_on_the_command_line(pairs, bare):
    words = [[key, value if bare and isinstance(value, str) else repr(value)] for key, value in pairs.items()]
    try:
        cfg = train.setup_cfg(train.parse_args(CLIP_LESS + [word for pair in words for word in pair]))
    except (ValueError, OSError) as error:
        assert one_line(error) or len(str(error)) < 2000
        return
    found = dict(leaves(cfg))
    for key, text in words:
        if key not in CHANGED:
            assert plain_value(found[key]) == plain_value(given_value(text))
    for key in set(KEYS) - set(pairs) - set(CHANGED):
        assert found[key] == dict(leaves(BASE_CFG))[key]


nodes = st.sampled_from(["OPTIM", "INPUT", "TRAINER", "UPT", "LR", "MAX_EPOCH", "SIZE", "NAME", "SEED", "DATASET", "x"])
trees = st.recursive(values, lambda inner: st.dictionaries(nodes, inner, max_size=3), max_leaves=6)
files = st.one_of(
    trees.map(lambda tree: yaml.dump(plain_value(tree) if not isinstance(tree, dict) else tree).encode()),
    st.text(string.printable, max_size=60).map(str.encode),
    st.binary(max_size=40),
)


@examples(150)
@given(files)
def test_config_files(tmp_path, content):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    try:
        cfg = train.setup_cfg(train.parse_args(["--config-file", str(path), *CLIP_LESS]))
    except (ValueError, OSError) as error:
        assert len(str(error)) < 5000
        return
    found = dict(leaves(cfg))
    for key, value in leaves(yaml.safe_load(content)):
        if key not in (*CHANGED, "DATASET.NAME", "TRAINER.NAME"):
            assert plain_value(found[key]) == plain_value(value)


PATHS = ["a.jpg", "b/c.jpg", "../d.jpg", "/e.jpg", "", "f\\g.jpg"]
entries = st.one_of(
    st.tuples(st.sampled_from(PATHS), st.integers(-1, 3), st.text(max_size=3)).map(list),
    st.tuples(st.text(max_size=6), st.integers(0, 2), st.sampled_from(["cat", "dog", "fish"])).map(list),
    st.lists(plain, max_size=4),
    plain,
)  # fmt: skip
NAMES = ["cat", "dog", "fish"]
good = st.integers(0, 2).flatmap(lambda i: st.sampled_from(["a.jpg", "ü/b.jpg"]).map(lambda path: [path, i, NAMES[i]]))
parts = st.one_of(st.lists(good, max_size=8), st.lists(good, max_size=8), st.lists(entries, max_size=3), plain)
splits = st.one_of(
    st.fixed_dictionaries({"train": parts, "test": parts}, optional={"val": parts, "more": plain}),
    st.dictionaries(st.sampled_from(["train", "val", "test", "x"]), parts, max_size=4),
    st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)),
)  # fmt: skip


@examples(300)
@given(st.one_of(splits.map(lambda split: json.dumps(split).encode()), st.binary(max_size=60)))
def test_split_files(tmp_path, content):
    path = tmp_path / "split.json"
    path.write_bytes(content)
    try:
        split = read_split(path)
    except ValueError as error:
        assert str(path) in str(error) and "\n" not in str(error)
        return
    content = json.loads(content)
    assert [[list(item) for item in part] for part in split] == [content.get(name) or [] for name in split._fields]
    labels = {item.label for part in split for item in part}
    assert split.test and labels == set(range(len(labels))) and len(labels) > 1


def test_the_good_splits_are_among_those_that_are_tried():
    found = []

    @examples(200)
    @given(st.fixed_dictionaries({"train": st.lists(good, min_size=4), "test": st.lists(good, min_size=1)}))
    def try_one(split):
        labels = {entry[1] for entry in split["train"]}
        found.append(labels >= {entry[1] for entry in split["test"]} and labels in ({0, 1}, {0, 1, 2}))

    try_one()
    assert 20 < sum(found) < len(found)


runs = st.fixed_dictionaries(
    {"trainer": st.sampled_from(["CoOp", "CoCoOp", "VPT", "UPT", "ZeroshotCLIP", "LinearProbe"])},
    optional={
        "DATASET.NUM_SHOTS": st.integers(-2, 9), "DATALOADER.TRAIN_X.BATCH_SIZE": st.integers(-1, 40),
        "DATALOADER.TEST.BATCH_SIZE": st.integers(0, 9), "OPTIM.MAX_EPOCH": st.integers(0, 2),
        "OPTIM.WARMUP_EPOCH": st.integers(-1, 3), "OPTIM.LR": st.sampled_from([0.1, 1.0, 1e30, 0.0, -0.1]),
        "OPTIM.LR_SCHEDULER": st.sampled_from(["cosine", "single_step", "multi_step", "linear"]),
        "OPTIM.STEPSIZE": st.sampled_from(["(-1,)", "(1, 2)", "('a',)", "()"]), "SEED": st.integers(-2, 3),
        "OPTIM.NAME": st.sampled_from(["sgd", "adam", "adamw", "lion"]), "TEST.FINAL_MODEL": st.just("best_val"),
        "DATASET.SUBSAMPLE_CLASSES": st.sampled_from(["all", "base", "new", "old"]),
        "DATALOADER.TRAIN_X.SAMPLER": st.sampled_from(["RandomSampler", "RandomClassSampler", "x"]),
        "INPUT.TRANSFORMS": st.sampled_from(["['random_crop', 'cutout']", "['randaugment']", "['y']", "[]"]),
        "TRAINER.UPT.N_CTX_TEXT": st.integers(0, 80), "TRAINER.UPT.MIXER": st.sampled_from(["joint", "shared", "mlp"]),
        "TRAINER.UPT.DEPTH_VISION": st.integers(0, 3), "TRAINER.UPT.N_HEADS": st.integers(0, 5),
        "TRAINER.COOP.CSC": st.booleans(), "TRAINER.COOP.CTX_INIT": st.sampled_from(["", "a photo", " ", "ü 犬"]),
        "TRAINER.VPT.DEPTH_VISION": st.integers(0, 3), "DATASET.TEMPLATE": st.sampled_from(["a {}", "{}{}", "cat"]),
    },
)  # fmt: skip


def test_runs(tmp_path_factory, backbone_file, monkeypatch):
    """Both ends are reached often enough to mean something."""
    statuses = []

    @examples(30)
    @given(asked=runs)
    def try_one(asked):
        statuses.append(try_run(tmp_path_factory, backbone_file, monkeypatch, asked))

    try_one()
    assert min(statuses.count(0), statuses.count(2)) >= 5, statuses


def try_run(tmp_path_factory, backbone_file, monkeypatch, asked) -> int:
    monkeypatch.setattr(train, "collect_env_info", lambda: "")
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", None)  # put back after Dassl's logger
        world = World(tmp_path_factory.mktemp("world"), backbone_file)
        keys = {key: value for key, value in asked.items() if key != "trainer"}
        ended = world.train(*(word for pair in keys.items() for word in pair), trainer=asked["trainer"])
    if ended.status == 0:
        result = json.loads((world.run_dir / "result.json").read_text())
        said = dict(leaves(result["config"]))
        for key, value in keys.items():
            if key in said:  # nodes of other trainers are left out
                assert plain_value(said[key]) == plain_value(given_value(str(value))), key
        assert 0 <= result["accuracy"] <= 100 and result["trainer"] == asked["trainer"]
    else:
        ended.refused()
    return ended.status


places = st.tuples(st.sampled_from(["train", "val", "test"]), st.integers(0, 11), st.integers(0, 2))
texts = ["pug", "abyssinian", "american_bulldog", "Abyssinian_2.jpg", "x.jpg", "", "é " * 40]
contents = st.one_of(st.integers(-1, 4), st.sampled_from(texts), plain)


def test_runs_on_any_split(tmp_path_factory, backbone_file, monkeypatch):
    monkeypatch.setattr(train, "collect_env_info", lambda: "")
    statuses = []

    @examples(40)
    @given(st.lists(st.tuples(places, contents), max_size=3), st.lists(places, max_size=6))
    def try_one(changed, removed):
        world = World(tmp_path_factory.mktemp("world"), backbone_file)

        def change(split):
            for (part, index, position), content in changed:
                split[part][index % len(split[part])][position] = content
            for part, index, _ in removed:
                del split[part][index : index + 1]
            return split

        world.change_split(change)
        ended = world.train(trainer="ZeroshotCLIP")
        statuses.append(ended.status)
        if ended.status:
            ended.refused()
        else:
            split, result = read_split(world.split), json.loads((world.run_dir / "result.json").read_text())
            assert result["n_test"] == len(split.test)
            assert result["n_classes"] == len({item.label for item in split.train})

    try_one()
    assert min(statuses.count(0), statuses.count(2)) >= 5, statuses


def test_the_base_works(world):
    world.train(base=BASE).worked("accuracy")


@pytest.mark.parametrize("target", ["split", "config", "checkpoint", "pickle", "prompts"])
def test_the_fuzz_targets(tmp_path, target):
    from tests.fuzz.targets import TARGETS, check

    reader, seeds = TARGETS[target]
    (tmp_path / "seed").write_bytes(seeds[0])
    reader(tmp_path / "seed")  # the first one is good
    for seed in seeds:
        for content in (seed, seed[: len(seed) // 2], seed[1:], seed.replace(b"1", b"9"), seed.replace(b"c", b"\xff")):
            check(target, content, tmp_path)
