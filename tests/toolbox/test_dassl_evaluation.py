import pytest
import torch
from dassl.evaluation import EVALUATOR_REGISTRY, EvaluatorBase, build_evaluator
from dassl.metrics import compute_accuracy

from upt_clip import dassl_compat

bundled_only = pytest.mark.skipif(not dassl_compat.is_bundled(), reason="a known defect of Dassl.pytorch")


def scores(predictions, n_classes=3):
    return torch.nn.functional.one_hot(torch.tensor(predictions), n_classes).float()


def test_result_block(cfg, capsys):
    evaluator = build_evaluator(cfg, lab2cname={0: "a", 1: "b"})
    evaluator.process(scores([0, 1]), torch.tensor([0, 0]))
    evaluator.process(scores([2]), torch.tensor([1]))
    results = evaluator.evaluate()
    assert capsys.readouterr().out == (
        "Loading evaluator: Classification\n"
        "=> result\n* total: 3\n* correct: 1\n* accuracy: 33.3%\n* error: 66.7%\n* macro_f1: 33.3%\n"
    )
    assert list(results) == ["accuracy", "error_rate", "macro_f1"]
    assert list(results.values()) == pytest.approx([100 / 3, 200 / 3, 100 / 3])


def test_counts_have_thousands_separators(cfg, capsys):
    evaluator = build_evaluator(cfg, lab2cname=None)
    evaluator.process(scores([1] * 1200), torch.tensor([1] * 1100 + [0] * 100))
    evaluator.evaluate()
    assert "* total: 1,200\n* correct: 1,100\n" in capsys.readouterr().out


def test_reset_forgets(cfg):
    evaluator = build_evaluator(cfg, lab2cname=None)
    evaluator.process(scores([0]), torch.tensor([1]))
    evaluator.reset()
    evaluator.process(scores([1]), torch.tensor([1]))
    assert evaluator.evaluate()["accuracy"] == 100.0
    evaluator.reset()
    with pytest.raises(ZeroDivisionError):
        evaluator.evaluate()


def test_per_class_result(cfg, capsys):
    cfg.TEST.PER_CLASS_RESULT = True
    evaluator = build_evaluator(cfg, lab2cname={0: "Sea or Lake", 1: "Forest", 2: "River"})
    evaluator.process(scores([2, 0, 0, 1]), torch.tensor([2, 0, 0, 0]))
    results = evaluator.evaluate()
    assert capsys.readouterr().out.endswith(
        "=> per-class result\n"
        "* class: 0 (Sea or Lake)\ttotal: 3\tcorrect: 2\tacc: 66.7%\n"
        "* class: 2 (River)\ttotal: 1\tcorrect: 1\tacc: 100.0%\n"
        "* average: 83.3%\n"
    )
    assert results["perclass_accuracy"] == pytest.approx((200 / 3 + 100) / 2)


def test_confusion_matrix(cfg, tmp_path, capsys):
    cfg.TEST.COMPUTE_CMAT = True
    (tmp_path / "out").mkdir()
    evaluator = build_evaluator(cfg, lab2cname=None)
    evaluator.process(scores([0, 1, 2, 1]), torch.tensor([0, 0, 2, 1]))
    evaluator.evaluate()
    assert f"Confusion matrix is saved to {tmp_path}/out/cmat.pt" in capsys.readouterr().out
    matrix = torch.as_tensor(torch.load(tmp_path / "out/cmat.pt", weights_only=False))
    assert matrix.tolist() == [[0.5, 0.5, 0], [0, 1, 0], [0, 0, 1]]


@bundled_only
def test_confusion_matrix_is_a_tensor_with_all_classes(cfg, tmp_path):
    cfg.TEST.COMPUTE_CMAT = True
    evaluator = build_evaluator(cfg, lab2cname=None)
    evaluator.process(scores([0, 1], n_classes=4), torch.tensor([0, 0]))
    evaluator.evaluate()
    matrix = torch.load(tmp_path / "out/cmat.pt", weights_only=True)
    assert matrix.dtype == torch.float64
    assert matrix.tolist() == [[0.5, 0.5, 0, 0]] + [[0, 0, 0, 0]] * 3


@bundled_only
def test_per_class_result_needs_names(cfg):
    cfg.TEST.PER_CLASS_RESULT = True
    with pytest.raises(ValueError, match="lab2cname"):
        build_evaluator(cfg)


def test_unknown_evaluator(cfg):
    cfg.TEST.EVALUATOR = "Clasification"
    with pytest.raises(ValueError, match=r"got \[Clasification\] \(do you mean \[Classification\]\?\)"):
        build_evaluator(cfg)
    assert "Classification" in EVALUATOR_REGISTRY.registered_names()


def test_base_evaluator_is_abstract(cfg):
    base = EvaluatorBase(cfg)
    for call in (base.reset, base.evaluate, lambda: base.process(None, None)):
        with pytest.raises(NotImplementedError):
            call()


def test_accuracy():
    (top1,) = compute_accuracy(scores([0, 1, 2, 2]), torch.tensor([0, 1, 2, 0]))
    assert top1.shape == (1,)
    assert top1.item() == 75.0
    assert compute_accuracy((scores([0]), "features"), torch.tensor([0]))[0].item() == 100.0


@bundled_only
def test_accuracy_of_several_k():
    output = torch.tensor([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2], [0.1, 0.4, 0.5]])
    top1, top2 = compute_accuracy(output, torch.tensor([2, 1, 0]), topk=(1, 2))
    assert top1.item() == pytest.approx(100 / 3)
    assert top2.item() == pytest.approx(200 / 3)
