"""Config keys of the datasets, on top of Dassl's `DATASET` node."""

DEFAULTS = {
    "SUBSAMPLE_CLASSES": "all",  # all | base | new
    "TEMPLATE": "",  # prompt template with one `{}`; empty: the trainer's own table
    "FOLDER": "",  # FolderDataset: folder below DATASET.ROOT, or an absolute path
    "CLASSNAMES": "",  # FolderDataset: text file, a line is `folder<TAB or comma>class name`
    "SPLIT_FILE": "",  # split JSON to use instead of the dataset's own
    "MAKE_SPLIT": False,  # make a new split where the dataset's split file is missing
}


def extend_cfg(cfg):
    """Add the keys above to a `get_cfg_default()` node, in place; keys that are there keep their value."""
    for key, value in DEFAULTS.items():
        cfg.DATASET.setdefault(key, value)


def option(cfg, key: str):
    """The value of `DATASET.<key>`, or its default where the config was made by code that does not know the key."""
    return cfg.DATASET.get(key, DEFAULTS[key])
