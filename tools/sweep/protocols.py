"""Which runs a protocol needs, and where each of them goes: CoOp's output layout."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from upt_clip import config_files
from upt_clip.config_files import ZERO_SHOT
from upt_clip.tools.sweep import plan
from upt_clip.tools.sweep.plan import Run
from upt_clip.tools.tables import selection

ZERO_SHOT_KEYS = ("MODEL.", "INPUT.", "DATASET.")  # what the zero-shot run beside a trained one takes over
LENGTHS = (1, 2, 4, 8, 16)  # of the prompts, text and image alike
LAYERS = {"pocket": (3, 4), "vit_b16": (12, 12), "vit_b32": (12, 12), "vit_l14": (12, 24)}  # of the text, image tower


@dataclass(frozen=True)
class Asked:
    """What the user chose for a protocol, beside the data sets. `cfg` "" stands for each trainer's default config.

    `folders` has the DATASET.FOLDER of those data sets that are folders of the user's own pictures.
    """

    trainers: list[str]
    output: Path
    root: str
    shots: tuple[int, ...] = (16,)
    seeds: tuple[int, ...] = (1, 2, 3)
    cfg: str = ""
    opts: tuple[str, ...] = ()
    folders: dict[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Raises ValueError for shots or seeds that cannot be, or a config key without a value."""
        if wrong := [n for n in self.shots if n < 1]:
            raise ValueError(f"SHOTS is {wrong[0]}, choose 1 or more (the paper: 1, 2, 4, 8, 16)")
        if not self.seeds or min(self.seeds) < 0:
            raise ValueError(f"--seeds is {list(self.seeds)}, give one or more numbers that are not negative")
        if len(self.opts) % 2:
            raise ValueError(f"config keys and values come in pairs, but got: {' '.join(self.opts)}")


def few_shot(datasets: list[str], asked: Asked) -> list[Run]:
    """Zero-shot CLIP once, then each trainer with each number of shots and each seed, data set by data set."""
    asked.check()
    runs = []
    for dataset in datasets:
        cfgs = _configs(asked, dataset)
        runs += [_zero_shot(asked, dataset, cfg, "all") for cfg in cfgs.values()]
        runs += [
            _trained(asked, dataset, trainer, cfgs[trainer], shots, seed)
            for shots in asked.shots
            for trainer in cfgs
            if trainer != ZERO_SHOT
            for seed in asked.seeds
        ]
    return _once(runs)


def base2new(datasets: list[str], asked: Asked) -> list[Run]:
    """Each trainer on the first half of the classes (base), its prompts tested on the other half (new)."""
    asked.check()
    _needs_prompts("base2new", asked)
    runs = []
    for dataset in datasets:
        cfgs = _configs(asked, dataset)
        runs += [_zero_shot(asked, dataset, cfg, half) for cfg in cfgs.values() for half in ("base", "new")]
        for trainer in (t for t in cfgs if t != ZERO_SHOT):
            for shots, seed in ((n, seed) for n in asked.shots for seed in asked.seeds):
                base = _trained(asked, dataset, trainer, cfgs[trainer], shots, seed, "base")
                tail = base.directory.relative_to(asked.output / "base2new" / "train_base")
                directory = asked.output / "base2new" / "test_new" / tail
                runs += [base, replace(base, directory=directory, classes="new", epochs=None, source=base)]
    return _once(runs)


def domain_generalization(sources: list[str], asked: Asked) -> list[Run]:
    """Each trainer on the source, its prompts tested on the same classes in pictures of another kind."""
    return _transfer("domain_generalization", sources, asked, selection.SHIFTS)


def cross_dataset(sources: list[str], asked: Asked) -> list[Run]:
    """Each trainer on the source, its prompts tested on other data sets."""
    _needs_prompts("cross_dataset", asked)
    return _transfer("cross_dataset", sources, asked, selection.CROSS)


def ablation(datasets: list[str], asked: Asked) -> list[Run]:
    """UPT's designs, each a change of one thing: what mixes the prompts, how many there are, and how deep they go.

    The paper compares joint training, shared prompts, an MLP and self-attention; `released` is the arithmetic of the
    authors' code. The config's own prompt length (the paper's is 4) and depth stand in the first row.
    """
    if others := sorted(set(asked.trainers) - {"UPT"}):
        raise ValueError(f"ablation is about UPT alone, not {', '.join(others)}: leave --trainers out")
    runs = []
    for dataset in datasets:
        cfg = config_files.choose_cfg("UPT", asked.cfg, dataset)
        own = yaml.safe_load(config_files.config_file("UPT", cfg).read_text()).get("TRAINER", {}).get("UPT", {})
        text, image = LAYERS.get(config_files.backbone(cfg), (12, 12))
        changes: list[dict] = [{}, *({"MIXER": name} for name in ("released", "joint", "shared", "mlp"))]
        lengths = [n for n in LENGTHS if n != own.get("N_CTX_TEXT", 4)]
        changes += [{"N_CTX_TEXT": n, "N_CTX_VISION": n} for n in lengths]
        changes += [{"DEPTH_TEXT": text, "DEPTH_VISION": image}]
        for change in changes:
            keys = [word for key, value in change.items() for word in (f"TRAINER.UPT.{key}", str(value))]
            runs += few_shot([dataset], replace(asked, opts=(*keys, *asked.opts)))
    return _once(runs)


PROTOCOLS: dict[str, Callable[[list[str], Asked], list[Run]]] = {
    "few_shot": few_shot,
    "base2new": base2new,
    "domain_generalization": domain_generalization,
    "cross_dataset": cross_dataset,
    "ablation": ablation,
}


def _transfer(protocol: str, sources: list[str], asked: Asked, targets: dict[str, tuple[str, ...]]) -> list[Run]:
    asked.check()
    runs = []
    for source in sources:
        if source not in targets:
            raise ValueError(f'{protocol} has no targets for the source "{source}": use {" or ".join(targets)}')
        cfgs = _configs(asked, source)
        runs += [_zero_shot(asked, name, cfg, "all") for cfg in cfgs.values() for name in (source, *targets[source])]
        for trainer in (t for t in cfgs if t != ZERO_SHOT):
            for shots, seed in ((n, seed) for n in asked.shots for seed in asked.seeds):
                trained = _trained(asked, source, trainer, cfgs[trainer], shots, seed)
                tail = trained.directory.relative_to(asked.output / source)
                evaluation = asked.output / "evaluation" / tail.parent
                runs += [trained] + [
                    replace(trained, directory=evaluation / name / tail.name, dataset=name, epochs=None, source=trained)
                    for name in targets[source]
                ]
    return _once(runs)


def _configs(asked: Asked, dataset: str) -> dict[str, str]:
    """Trainer -> config, checked."""
    cfgs = {trainer: config_files.choose_cfg(trainer, asked.cfg, dataset) for trainer in asked.trainers}
    for trainer, cfg in cfgs.items():
        config_files.config_file(trainer, cfg)
    return cfgs


def _zero_shot(asked: Asked, dataset: str, cfg: str, classes: str) -> Run:
    """The zero-shot run on the backbone of a trainer's config, with those of the changed keys that concern it."""
    plain = config_files.backbone(cfg)
    pairs = zip(asked.opts[::2], asked.opts[1::2], strict=True)
    opts = [word for key, value in pairs if key.startswith(ZERO_SHOT_KEYS) for word in (key, value)]
    tail = Path(plain, *plan.variant(opts))
    if classes == "all":
        directory = asked.output / ZERO_SHOT / tail / dataset
    else:
        directory = asked.output / "base2new" / f"test_{classes}" / dataset / ZERO_SHOT / tail
    folder = asked.folders.get(dataset, "")
    return Run(directory, dataset, ZERO_SHOT, plain, asked.root, classes=classes, opts=opts, folder=folder)


def _trained(asked: Asked, dataset: str, trainer: str, cfg: str, shots: int, seed: int, classes: str = "all") -> Run:
    opts = list(asked.opts)
    if classes == "all":
        start = asked.output / dataset / trainer / f"{cfg}_{shots}shots"
    else:
        start = asked.output / "base2new" / f"train_{classes}" / dataset / f"shots_{shots}" / trainer / cfg
    directory = start.joinpath(*plan.variant(opts), f"seed{seed}")
    n, folder = plan.epochs(trainer, cfg, dataset, shots), asked.folders.get(dataset, "")
    return Run(directory, dataset, trainer, cfg, asked.root, shots, seed, n, classes, opts, folder)


def _needs_prompts(protocol: str, asked: Asked) -> None:
    if "LinearProbe" in asked.trainers:
        raise ValueError(f"{protocol} tests other classes, and LinearProbe knows its own only: leave it out")
    for key, value in zip(asked.opts[::2], asked.opts[1::2], strict=True):
        if key.endswith(".CSC") and value.lower() == "true":
            raise ValueError(f"{protocol} tests other classes, and {key} True learns a prompt for each of its own only")


def _once(runs: list[Run]) -> list[Run]:
    return list({run.directory: run for run in runs}.values())
