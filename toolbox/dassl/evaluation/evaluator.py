"""Classification results."""

import os
from collections import OrderedDict

import numpy as np
import torch
from sklearn.metrics import confusion_matrix, f1_score

from .build import EVALUATOR_REGISTRY

__all__ = ["Classification", "EvaluatorBase"]


class EvaluatorBase:
    """What a trainer calls: `reset()`, `process(model output, ground truth)` per batch, `evaluate()`."""

    def __init__(self, cfg):
        self.cfg = cfg

    def _missing(self, *args, **kwargs):
        raise NotImplementedError

    reset = process = evaluate = _missing


@EVALUATOR_REGISTRY.register()
class Classification(EvaluatorBase):
    """Accuracy, error rate and macro F1 in percent; per-class accuracy and the confusion matrix on request."""

    def __init__(self, cfg, lab2cname=None, **kwargs):
        super().__init__(cfg)
        if cfg.TEST.PER_CLASS_RESULT and lab2cname is None:
            raise ValueError("TEST.PER_CLASS_RESULT needs lab2cname, a dictionary from labels to class names")
        self._lab2cname = lab2cname
        self.reset()

    def reset(self):
        self._y_true, self._y_pred = [], []
        self._n_scores = 0

    def process(self, mo, gt):
        """Count a batch: scores `mo` (B, C), labels `gt` (B,)."""
        self._n_scores = max(self._n_scores, mo.shape[1])
        self._y_true += gt.tolist()
        self._y_pred += mo.argmax(dim=1).tolist()

    def evaluate(self) -> OrderedDict:
        """Print the result block and return `accuracy`, `error_rate`, `macro_f1` (and `perclass_accuracy`)."""
        if not self._y_true:
            raise ZeroDivisionError("There is nothing to evaluate: no batch was processed since the last reset")
        y_true, y_pred = np.array(self._y_true), np.array(self._y_pred)
        total, correct = len(y_true), int((y_true == y_pred).sum())
        accuracy = 100.0 * correct / total
        macro_f1 = 100.0 * float(f1_score(y_true, y_pred, average="macro", labels=np.unique(y_true)))
        results = OrderedDict(accuracy=accuracy, error_rate=100.0 - accuracy, macro_f1=macro_f1)
        print(
            "=> result\n"
            f"* total: {total:,}\n"
            f"* correct: {correct:,}\n"
            f"* accuracy: {accuracy:.1f}%\n"
            f"* error: {results['error_rate']:.1f}%\n"
            f"* macro_f1: {macro_f1:.1f}%"
        )
        if self.cfg.TEST.PER_CLASS_RESULT:
            results["perclass_accuracy"] = self._per_class(y_true, y_pred)
        if self.cfg.TEST.COMPUTE_CMAT:
            self._save_confusion_matrix(y_true, y_pred)
        return results

    def _per_class(self, y_true, y_pred):
        print("=> per-class result")
        accuracies = []
        for label in np.unique(y_true):
            hits = y_pred[y_true == label] == label
            accuracies.append(100.0 * hits.mean())
            print(
                f"* class: {label} ({self._lab2cname[int(label)]})\t"
                f"total: {len(hits):,}\tcorrect: {hits.sum():,}\tacc: {accuracies[-1]:.1f}%"
            )
        mean = np.mean(accuracies)
        print(f"* average: {mean:.1f}%")
        return mean

    def _save_confusion_matrix(self, y_true, y_pred):
        """A (C, C) tensor, rows are true classes and sum to 1 (to 0 for a class without test items)."""
        n_classes = max(self._n_scores, int(y_true.max()) + 1)
        matrix = confusion_matrix(y_true, y_pred, labels=range(n_classes), normalize="true")
        os.makedirs(self.cfg.OUTPUT_DIR, exist_ok=True)
        path = os.path.join(self.cfg.OUTPUT_DIR, "cmat.pt")
        torch.save(torch.from_numpy(matrix), path)
        print(f"Confusion matrix is saved to {path}")
