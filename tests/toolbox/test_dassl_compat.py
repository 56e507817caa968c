import importlib.util
import inspect
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from upt_clip import dassl_compat

ROOT = Path(__file__).parents[2]
bundled_only = pytest.mark.skipif(
    not dassl_compat.is_bundled(), reason="with a Dassl.pytorch on the path there is no choice"
)
SURFACE = {
    "dassl": "__version__",
    "dassl.config": "get_cfg_default clean_cfg",
    "dassl.engine": "TRAINER_REGISTRY build_trainer TrainerBase SimpleTrainer TrainerX TrainerXU SimpleNet",
    "dassl.data": "DataManager DatasetWrapper",
    "dassl.data.data_manager": "DataManager DatasetWrapper build_data_loader",
    "dassl.data.datasets": "DATASET_REGISTRY build_dataset Datum DatasetBase",
    "dassl.data.transforms": "INTERPOLATION_MODES build_transform",
    "dassl.data.samplers": "build_sampler",
    "dassl.optim": "build_optimizer build_lr_scheduler",
    "dassl.evaluation": "EVALUATOR_REGISTRY build_evaluator EvaluatorBase Classification",
    "dassl.metrics": "compute_accuracy",
    "dassl.utils": "mkdir_if_missing check_isfile read_json write_json set_random_seed download_url read_image "
    "collect_env_info listdir_nohidden get_most_similar_str_to_a_from_b check_availability tolist_if_not Logger "
    "setup_logger AverageMeter MetricMeter Registry save_checkpoint load_checkpoint resume_from_checkpoint "
    "open_all_layers open_specified_layers count_num_param load_pretrained_weights init_network_weights",
}
SIGNATURES = {
    "dassl.data.data_manager.build_data_loader": "cfg sampler_type data_source batch_size n_domain n_ins tfm is_train "
    "dataset_wrapper",
    "dassl.data.data_manager.DataManager": "cfg custom_tfm_train custom_tfm_test dataset_wrapper",
    "dassl.data.data_manager.DatasetWrapper": "cfg data_source transform is_train",
    "dassl.data.datasets.Datum": "impath label domain classname",
    "dassl.data.samplers.build_sampler": "sampler_type cfg data_source batch_size n_domain n_ins",
    "dassl.data.transforms.build_transform": "cfg is_train choices",
    "dassl.optim.build_optimizer": "model optim_cfg param_groups",
    "dassl.optim.build_lr_scheduler": "optimizer optim_cfg",
    "dassl.utils.save_checkpoint": "state save_dir is_best remove_module_from_keys model_name",
    "dassl.utils.resume_from_checkpoint": "fdir model optimizer scheduler",
    "dassl.utils.load_checkpoint": "fpath",
}


def run(code, *flags, **env):
    return subprocess.run([sys.executable, *flags, "-c", code], cwd=ROOT, capture_output=True, text=True, **env)


@pytest.mark.parametrize("module", SURFACE)
def test_names_that_projects_import(module):
    imported = importlib.import_module(module)
    assert [name for name in SURFACE[module].split() if not hasattr(imported, name)] == []


@pytest.mark.parametrize("path", SIGNATURES)
def test_parameter_names(path):
    module, name = path.rsplit(".", 1)
    parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    assert list(parameters) == SIGNATURES[path].split()


def test_which_dassl():
    import dassl

    kind, version = dassl_compat.which_dassl().split(" ")
    assert version == dassl.__version__
    assert kind == ("bundled" if version.endswith("+upt") else "Dassl.pytorch")


def test_importing_leaves_logging_and_other_packages_alone():
    assert logging.root.manager.disable == 0
    for name in ("wilds", "pandas"):
        importlib.util.find_spec(name)  # a stand-in for the package would be a ValueError


def test_importing_twice_changes_nothing():
    from dassl import utils

    before = utils.load_checkpoint
    dassl_compat.repair()
    assert utils.load_checkpoint is before


@bundled_only
def test_a_dassl_of_the_users_comes_before_ours(tmp_path):
    (tmp_path / "dassl.py").write_text("__version__ = 'theirs'\nraise SystemExit('theirs')\n")
    code = f"import sys; sys.path.append({str(tmp_path)!r}); import upt_clip, dassl"
    assert run(code).stderr == "theirs\n"  # even at the end of the path


@bundled_only
def test_one_that_was_imported_first_is_put_right():
    code = (
        f"import sys; sys.path.append({str(ROOT / 'toolbox')!r}); import dassl.utils; old = dassl.utils.read_image\n"
        "import upt_clip; from upt_clip.pictures import read_image\n"
        "assert old is not read_image and dassl.utils.read_image is read_image"
    )
    assert run(code).stderr == ""
