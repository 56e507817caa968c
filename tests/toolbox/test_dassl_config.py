import pytest
from dassl.config import clean_cfg, get_cfg_default
from yacs.config import CfgNode

DEFAULTS = {
    "VERSION": 1,
    "OUTPUT_DIR": "./output",
    "RESUME": "",
    "SEED": -1,
    "USE_CUDA": True,
    "VERBOSE": True,
    "INPUT.SIZE": (224, 224),
    "INPUT.INTERPOLATION": "bilinear",
    "INPUT.TRANSFORMS": (),
    "INPUT.PIXEL_MEAN": [0.485, 0.456, 0.406],
    "INPUT.PIXEL_STD": [0.229, 0.224, 0.225],
    "INPUT.RRCROP_SCALE": (0.08, 1.0),
    "DATASET.NUM_SHOTS": -1,
    "DATASET.VAL_PERCENT": 0.1,
    "DATALOADER.NUM_WORKERS": 4,
    "DATALOADER.K_TRANSFORMS": 1,
    "DATALOADER.TRAIN_X.SAMPLER": "RandomSampler",
    "DATALOADER.TRAIN_X.BATCH_SIZE": 32,
    "DATALOADER.TRAIN_X.N_INS": 16,
    "DATALOADER.TRAIN_U.SAME_AS_X": True,
    "DATALOADER.TEST.SAMPLER": "SequentialSampler",
    "MODEL.INIT_WEIGHTS": "",
    "MODEL.BACKBONE.NAME": "",
    "MODEL.BACKBONE.PRETRAINED": True,
    "OPTIM.NAME": "adam",
    "OPTIM.LR": 0.0003,
    "OPTIM.WEIGHT_DECAY": 0.0005,
    "OPTIM.MOMENTUM": 0.9,
    "OPTIM.SGD_DAMPNING": 0,
    "OPTIM.LR_SCHEDULER": "single_step",
    "OPTIM.STEPSIZE": (-1,),
    "OPTIM.GAMMA": 0.1,
    "OPTIM.MAX_EPOCH": 10,
    "OPTIM.WARMUP_EPOCH": -1,
    "OPTIM.WARMUP_TYPE": "linear",
    "OPTIM.WARMUP_CONS_LR": 1e-5,
    "OPTIM.WARMUP_MIN_LR": 1e-5,
    "OPTIM.WARMUP_RECOUNT": True,
    "TRAIN.CHECKPOINT_FREQ": 0,
    "TRAIN.PRINT_FREQ": 10,
    "TRAIN.COUNT_ITER": "train_x",
    "TEST.EVALUATOR": "Classification",
    "TEST.PER_CLASS_RESULT": False,
    "TEST.COMPUTE_CMAT": False,
    "TEST.NO_TEST": False,
    "TEST.SPLIT": "test",
    "TEST.FINAL_MODEL": "last_step",
    "TRAINER.NAME": "",
    "TRAINER.CDAC.TOPK_MATCH": 5,
    "TRAINER.DDAIG.CLAMP_MIN": -1.0,
    "TRAINER.MIXMATCH.RAMPUP": 20000,
    "TRAINER.FIXMATCH.STRONG_TRANSFORMS": (),
}
SIZES = {"INPUT": 21, "DATASET": 11, "DATALOADER": 6, "MODEL": 3, "OPTIM": 21, "TRAIN": 3, "TEST": 6, "TRAINER": 15}


def lookup(node, dotted):
    for key in dotted.split("."):
        node = node[key]
    return node


@pytest.mark.parametrize("key", DEFAULTS)
def test_default(key):
    value = lookup(get_cfg_default(), key)
    assert value == DEFAULTS[key]
    assert type(value) is type(DEFAULTS[key])


def test_number_of_keys():
    node = get_cfg_default()
    assert {key: len(node[key]) for key in SIZES} == SIZES
    assert len(node) == 14


def test_each_call_gives_an_independent_unfrozen_node():
    first, second = get_cfg_default(), get_cfg_default()
    first.OPTIM.LR = 1.0
    first.INPUT.PIXEL_MEAN[0] = 0.0
    first.TRAINER.MINE = CfgNode({"N": 1})
    assert second.OPTIM.LR == 0.0003
    assert second.INPUT.PIXEL_MEAN[0] == get_cfg_default().INPUT.PIXEL_MEAN[0] == 0.485
    assert "MINE" not in second.TRAINER
    assert not first.is_frozen()


@pytest.mark.parametrize(
    ("key", "value"), [("OPTIM.LR", "1"), ("OPTIM.MAX_EPOCH", "5.0"), ("OPTIM.STEPSIZE", "3"), ("USE_CUDA", "0")]
)
def test_wrong_types_are_refused(key, value):
    with pytest.raises(ValueError):
        get_cfg_default().merge_from_list([key, value])


def test_right_types_and_unknown_keys(tmp_path):
    node = get_cfg_default()
    node.merge_from_list(["OPTIM.LR", "1e-5", "INPUT.TRANSFORMS", "['normalize']", "MODEL.INIT_WEIGHTS", "None"])
    assert node.OPTIM.LR == 1e-5
    assert node.INPUT.TRANSFORMS == ("normalize",)
    assert node.MODEL.INIT_WEIGHTS is None
    with pytest.raises(AssertionError, match="Non-existent key"):
        node.merge_from_list(["OPTIM.SPEED", 1])
    yaml = tmp_path / "c.yaml"
    yaml.write_text("OPTIM:\n  WARMUP_CONS_LR: 1e-5\nINPUT:\n  SIZE: (64, 32)\n")
    node.merge_from_file(str(yaml))
    assert node.OPTIM.WARMUP_CONS_LR == 1e-5
    assert node.INPUT.SIZE == (64, 32)


@pytest.mark.parametrize(("trainer", "left"), [("FixMatch", {"NAME", "FIXMATCH"}), ("", {"NAME"}), ("CoOp", {"NAME"})])
def test_clean_cfg(trainer, left):
    node = get_cfg_default()
    clean_cfg(node, trainer)
    assert set(node.TRAINER) == left
