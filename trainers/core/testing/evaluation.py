"""A test: the logits of a loader's pictures, by the cheapest exact way, and what is made and written of them.

The processes of a run share the work.

Shape letters: B batch, C classes.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import SequentialSampler
from tqdm import tqdm

from upt_clip import distributed

from ..runs import report, run_dir
from ..training import anomaly
from .feature_cache import image_features

Scored = tuple[Tensor, Tensor, list[str]]  # logits (B, C), labels (B,), picture paths


@torch.no_grad()
def test(trainer, split: str) -> float:
    """Accuracy in percent on "val", where there is one, or else on "test", which writes result.json and the rest."""
    trainer.set_model_mode("eval")
    trainer.evaluator.reset()
    if split != "val" or trainer.val_loader is None:
        split = "test"
    loader = trainer.val_loader if split == "val" else trainer.test_loader
    print(f"Evaluate on the *{split}* set")
    start = time.perf_counter()
    predictions: list[tuple[str, int, int, float]] = []
    for logits, labels, paths in scores(trainer, loader, split):
        anomaly.check_logits(trainer, logits, paths)
        trainer.evaluator.process(logits, labels)
        confidence, predicted = logits.float().softmax(dim=-1).max(dim=-1)
        columns = (labels, predicted, confidence)
        predictions += zip(paths, *(column.tolist() for column in columns), strict=True)
    results = trainer.evaluator.evaluate()
    for name, value in results.items():
        trainer.write_scalar(f"{split}/{name}", value, trainer.epoch)
    if split == "test" and trainer.output_dir:
        _write(trainer, results, predictions, time.perf_counter() - start)
    return next(iter(results.values()))


def _write(trainer, results: dict, predictions: list[tuple[str, int, int, float]], seconds: float) -> None:
    directory = Path(trainer.output_dir)
    run_dir.claim(trainer.cfg)
    run_dir.write_predictions(trainer.dm.dataset, predictions, directory / "predictions.csv")
    result = report.result(trainer, results, seconds)
    if trainer.trainable:
        facts = report.prompt_facts(trainer, result)
        run_dir.save_prompts(directory / "prompts.safetensors", trainer.model.learner.state_dict(), facts)
    run_dir.write_json(result, directory / "result.json")


@torch.no_grad()
def scores(trainer, loader, split: str) -> Iterator[Scored]:
    """Logits, labels and paths of all pictures, batch by batch, on the trainer's device.

    Where the image tower has no prompts, its features are taken from the cache and no picture is read.
    """
    in_order = isinstance(loader.sampler, (SequentialSampler, distributed.Part))
    own = (_from_features if trainer.features_are_plain and in_order else _from_pictures)(trainer, loader, split)
    yield from own if distributed.world() == 1 else _of_all_processes(own, trainer, loader)


def _from_pictures(trainer, loader, split: str) -> Iterator[Scored]:
    for batch in tqdm(loader, desc=split, leave=False, disable=not distributed.is_first()):
        images, labels = trainer.parse_batch_test(batch)
        yield trainer.model_inference(images), labels, batch["impath"]


def _from_features(trainer, loader, split: str) -> Iterator[Scored]:
    features = image_features(trainer, loader, split)
    for indices in torch.tensor(list(loader.sampler)).split(loader.batch_size):
        logits = trainer.classify(features[indices].to(trainer.device))
        yield logits, *_labels_and_paths(trainer, loader, indices.tolist())


def _of_all_processes(own: Iterator[Scored], trainer, loader) -> Iterator[Scored]:
    """Every picture once, in the order of the list, in every process."""
    n = len(loader.dataset)
    logits = distributed.gather(torch.cat([logits for logits, _, _ in own]), n)
    for indices in torch.arange(n).split(loader.batch_size):
        yield logits[indices[0] : indices[-1] + 1], *_labels_and_paths(trainer, loader, indices.tolist())


def _labels_and_paths(trainer, loader, indices: list[int]) -> tuple[Tensor, list[str]]:
    pictures = [loader.dataset.data_source[i] for i in indices]
    labels = torch.tensor([picture.label for picture in pictures], device=trainer.device)
    return labels, [picture.impath for picture in pictures]
