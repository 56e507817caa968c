"""Command lines and configs that make no sense."""

import pytest

# what is given to train.py after a config that works -> what the one line of the error says
CONFIGS = {
    "unknown trainer": (["TRAINER.NAME", "UTP"], ['unknown trainer "UTP"', "ZeroshotCLIP", "did you mean UPT?"]),
    "trainer in lower case": (["TRAINER.NAME", "cocoop"], ["did you mean CoCoOp?"]),
    "unknown data set": (["DATASET.NAME", "OxfordPet"], ['"OxfordPet"', "Food101", "did you mean OxfordPets?"]),
    "no data set": (["DATASET.NAME", ""], ["no data set: give --dataset-config-file", "OxfordPets"]),
    "no trainer": (["TRAINER.NAME", ""], ["no trainer: give --trainer", "CoOp"]),
    "unknown key": (["OPTIM.LRR", "0.1"], ['unknown config key "OPTIM.LRR"', "did you mean OPTIM.LR?"]),
    "unknown node": (["TRAINER.UTP.N_CTX_TEXT", "4"], ["TRAINER.UTP.N_CTX_TEXT", "mean TRAINER.UPT.N_CTX_TEXT?"]),
    "key without a value": (["OPTIM.LR"], ["come in pairs", "OPTIM.LR"]),
    "key that is a node": (["OPTIM", "0.1"], ["OPTIM", "0.1"]),
    "text for a number": (["OPTIM.MAX_EPOCH", "ten"], ["OPTIM.MAX_EPOCH", '"ten"', "int"]),
    "code for a number": (["OPTIM.MAX_EPOCH", "__import__('os').getpid()"], ["OPTIM.MAX_EPOCH"]),
    "unknown precision": (["TRAINER.COOP.PREC", "fp61"], ["'fp61'", "auto, fp32, fp16, bf16, amp", "mean fp16?"]),
    "unknown backbone": (["MODEL.BACKBONE.NAME", "VIT-B16"], ['"VIT-B16"', "RN50", "did you mean ViT-B/16?"]),
    "no backbone": (["MODEL.BACKBONE.NAME", ""], ["no backbone", "--backbone ViT-B/16"]),
    "0 shots": (["DATASET.NUM_SHOTS", "0"], ["DATASET.NUM_SHOTS is 0", "1 or more, or -1"]),
    "-2 shots": (["DATASET.NUM_SHOTS", "-2"], ["DATASET.NUM_SHOTS is -2", "1 or more, or -1"]),
    "unknown half of the classes": (["DATASET.SUBSAMPLE_CLASSES", "old"], ["'old'", "all, base or new"]),
    "0 pictures a batch": (["DATALOADER.TRAIN_X.BATCH_SIZE", "0"], ["TRAIN_X.BATCH_SIZE is 0", "1 or more"]),
    "-1 pictures a test batch": (["DATALOADER.TEST.BATCH_SIZE", "-1"], ["TEST.BATCH_SIZE is -1", "1 or more"]),
    "-1 workers": (["DATALOADER.NUM_WORKERS", "-1"], ["NUM_WORKERS is -1", "0 or more"]),
    "unknown sampler": (["DATALOADER.TRAIN_X.SAMPLER", "Random"], ["'Random'", "RandomSampler"]),
    "two views": (["DATALOADER.K_TRANSFORMS", "2"], ["K_TRANSFORMS is 2", "1"]),
    "a batch too small for its classes": (["DATALOADER.TRAIN_X.SAMPLER", "RandomClassSampler"], ["N_INS is 16"]),
    "0 epochs": (["OPTIM.MAX_EPOCH", "0"], ["OPTIM.MAX_EPOCH is 0", "1 or more"]),
    "-1 epochs": (["OPTIM.MAX_EPOCH", "-1"], ["OPTIM.MAX_EPOCH is -1", "1 or more"]),
    "learning rate that is no number": (["OPTIM.LR", "nan"], ["OPTIM.LR", '"nan"']),
    "infinite learning rate": (["OPTIM.LR", "1e999"], ["OPTIM.LR is inf", "finite"]),
    "learning rate below 0": (["OPTIM.LR", "-0.1"], ["OPTIM.LR is -0.1", "above 0"]),
    "weight decay below 0": (["OPTIM.WEIGHT_DECAY", "-0.1"], ["OPTIM.WEIGHT_DECAY is -0.1", "0 or more"]),
    "momentum below 0": (["OPTIM.MOMENTUM", "-0.9"], ["OPTIM", "momentum", "-0.9"]),
    "Nesterov without momentum": (["OPTIM.SGD_NESTEROV", "True", "OPTIM.MOMENTUM", "0.0"], ["OPTIM", "Nesterov"]),
    "unknown optimiser": (["OPTIM.NAME", "adamx"], ["'adamx'", "sgd", "did you mean adam?"]),
    "unknown schedule": (["OPTIM.LR_SCHEDULER", "cosin"], ["'cosin'", "single_step", "did you mean cosine?"]),
    "steps of no number": (["OPTIM.STEPSIZE", "('a',)", "OPTIM.LR_SCHEDULER", "single_step"], ["OPTIM"]),
    "warm-up longer than the training": (["OPTIM.WARMUP_EPOCH", "5"], ["WARMUP_EPOCH is 5", "MAX_EPOCH is 1"]),
    "unknown warm-up": (["OPTIM.WARMUP_TYPE", "lin"], ["'lin'", "linear, constant"]),
    "unknown transform": (["INPUT.TRANSFORMS", "['random_flop']"], ["'random_flop'", "random_flip"]),
    "transform that is no text": (["INPUT.TRANSFORMS", "[[1]]"], ["INPUT.TRANSFORMS is ([1],)", "random_flip"]),
    "no transform at all": (["INPUT.NO_TRANSFORM", "True"], ["INPUT.NO_TRANSFORM is True", "False"]),
    "kernel of even size": (["INPUT.TRANSFORMS", "['gaussian_blur']", "INPUT.GB_K", "20"], ["INPUT", "ernel size"]),
    "unknown interpolation": (["INPUT.INTERPOLATION", "cubic"], ["'cubic'", "did you mean bicubic?"]),
    "size that CLIP does not take": (["INPUT.SIZE", "(48, 48)"], ["(48, 48)", "takes (32, 32)", "add INPUT.SIZE"]),
    "size 0": (["INPUT.SIZE", "(0, 0)"], ["INPUT.SIZE is (0, 0)", "2 whole numbers above 0"]),
    "size of one number": (["INPUT.SIZE", "(32,)"], ["INPUT.SIZE is (32,)", "2 whole numbers"]),
    "two colours": (["INPUT.PIXEL_MEAN", "[0.5, 0.5]"], ["INPUT.PIXEL_MEAN", "3 numbers"]),
    "no spread of colours": (["INPUT.PIXEL_STD", "[0.5, 0.0, 0.5]"], ["INPUT.PIXEL_STD", "3 numbers above 0"]),
    "crop larger than the picture": (["INPUT.RRCROP_SCALE", "(0.5, 2.0)"], ["INPUT.RRCROP_SCALE"]),
    "seed below -1": (["SEED", "-5"], ["SEED is -5", "0 to 4294967295"]),
    "seed too large": (["SEED", str(2**32)], ["SEED is 4294967296"]),
    "prints never": (["TRAIN.PRINT_FREQ", "0"], ["TRAIN.PRINT_FREQ is 0", "1 or more"]),
    "unknown split": (["TEST.SPLIT", "tset"], ["'tset'", "did you mean test?"]),
    "unknown final model": (["TEST.FINAL_MODEL", "best"], ["'best'", "best_val"]),
    "template without a place": (["TRAINER.NAME", "VPT", "DATASET.TEMPLATE", "a cat"], ['"a cat"', "has no {}"]),
    "more prompts than CLIP reads": (["TRAINER.COOP.N_CTX", "75"], ["tokens", "CLIP reads 77", "shorten"]),
    "a million prompts": (["TRAINER.COOP.N_CTX", "1000000"], ["TRAINER.COOP.N_CTX is 1000000", "1 to 1000"]),
    "no prompts": (["TRAINER.COOP.N_CTX", "0"], ["TRAINER.COOP.N_CTX is 0", "1 to 1000"]),
    "a billion visual prompts": (
        ["TRAINER.NAME", "VPT", "TRAINER.VPT.N_CTX_VISION", "1000000000"], ["TRAINER.VPT.N_CTX_VISION", "1 to 1000"],
    ),
    "deeper than the tower": (
        ["TRAINER.NAME", "UPT", "TRAINER.UPT.DEPTH_VISION", "3"], ["TRAINER.UPT.DEPTH_VISION is 3", "choose 1 to 2"],
    ),
    "more heads than width": (["TRAINER.NAME", "UPT", "TRAINER.UPT.N_HEADS", "65"], ["N_HEADS is 65", "1 to 64"]),
    "unknown mixer": (["TRAINER.NAME", "UPT", "TRAINER.UPT.MIXER", "mpl"], ['"mpl"', "attention, released"]),
    "dropout over 1": (["TRAINER.NAME", "UPT", "TRAINER.UPT.DROPOUT", "1.5"], ["ropout", "1.5"]),
    "unknown place of the name": (["TRAINER.COOP.CLASS_TOKEN_POSITION", "mid"], ['"mid"', "end, middle, front"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CONFIGS)
def test_a_config_that_makes_no_sense(world, case):
    keys, words = CONFIGS[case]
    world.train(*keys).refused(*words)


OPTIONS = {
    "missing config file": (["--config-file", "configs/trainers/UPT/vit_b61.yaml"], ["vit_b61.yaml", "vit_b16_paper"]),
    "missing data root": (["--root", "nowhere"], ["no folder", "nowhere/oxford_pets", "emoji 16"]),
    "seed that is no number": (["--seed", "one"], ["--seed", "'one'"]),
    "unknown option": (["--sede", "1"], ["--sede"]),
    "evaluation of nothing": (["--eval-only"], ["--model-dir"]),
    "missing run to resume": (["--resume", "nowhere"], ["RESUME is nowhere", "no directory"]),
    "nothing to resume": (["--resume", "docs"], ["RESUME is docs", "no state of a run", "--resume"]),
    "missing run to test": (["--eval-only", "--model-dir", "nowhere"], ["nowhere", "there: nothing"]),
    "output folder that is a file": (["--output-dir", __file__], ["test_bad_configs.py"]),
    "too long a path": (["--output-dir", "x" * 300], ["File name too long", "xxx"]),
    "zero byte in a path": (["--output-dir", "a\0b"], ["null"]),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_an_option_that_makes_no_sense(world, case):
    options, words = OPTIONS[case]
    world.train(options=options).refused(*words)


FILES = {
    "no YAML": ("a: [", ["bad.yaml"]),
    "list": ("- 1\n- 2", ["bad.yaml is no config file"]),
    "empty": ("", ["bad.yaml is no config file", "keys and values"]),
    "number": ("7", ["bad.yaml is no config file"]),
    "unknown key": ("OPTIM: {LRR: 1.0}", ["bad.yaml", '"OPTIM.LRR"', "did you mean OPTIM.LR?"]),
    "wrong type": ("OPTIM: {LR: fast}", ["bad.yaml", "fast", "LR"]),
    "node that is a number": ("OPTIM: 7", ["bad.yaml", "OPTIM"]),
    "number that is a node": ("OPTIM: {LR: {a: 1}}", ["bad.yaml", "LR"]),
    "not a number": ("OPTIM: {LR: .nan}", ["OPTIM.LR is nan", "finite"]),
    "Python object": ("OPTIM: {LR: !!python/object/apply:os.getpid []}", ["bad.yaml"]),
    "key that is a list": ("? [1]\n: 2", ["bad.yaml"]),
    "key that is a number": ("7: 1", ["bad.yaml is no config file"]),
    "key that stands twice": (
        "OPTIM: {LR: 0.1}\nSEED: 1\nOPTIM: {MAX_EPOCH: 1}",
        ["bad.yaml", "OPTIM stands twice", "line 1"],
    ),
    "no value": ("OPTIM: {LR: }", ["OPTIM.LR is None", "leave it out"]),
    "node without anything": ("TRAINER:", ["bad.yaml", '"TRAINER"', "did you mean TRAINER.NAME?"]),
    "node that holds itself": ("OPTIM: &a\n  LR: *a", ["bad.yaml"]),
    "bytes": (b"\xff\xfe\x00\x80", ["bad.yaml"]),
    "deep": ("[" * 5000, ["bad.yaml"]),
}


@pytest.mark.parametrize("case", FILES)
def test_a_config_file_that_is_none(world, tmp_path, case):
    content, words = FILES[case]
    path = tmp_path / "bad.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    world.train(options=["--config-file", path]).refused(*words)


@pytest.mark.parametrize("trainer", ["VPT", "UPT"])
def test_a_resnet_for_a_method_with_visual_prompts(world, tiny_resnet_file, trainer):
    world.backbone = tiny_resnet_file
    world.train(trainer=trainer).refused(trainer, "must be a ViT", "take ViT-B/16")


def test_the_right_command_works_after_a_wrong_one_in_the_same_folder(world):
    world.train("TRAINER.COOP.N_CTX", "75").refused("shorten")
    world.train("TRAINER.COOP.N_CTX", "4").worked("accuracy")


def test_keys_of_another_trainer_are_said_to_have_no_effect(world):
    out = world.train("TRAINER.UPT.MIXER", "joint", "TRAINER.COOP.N_CTX", "4").worked("accuracy")
    assert "Without effect on CoOp: TRAINER.UPT.MIXER\n" in out


def test_debug_shows_the_traceback(world):
    with pytest.raises(ValueError, match="MAX_EPOCH is 0"):
        world.train("OPTIM.MAX_EPOCH", "0", options=["--debug"])
