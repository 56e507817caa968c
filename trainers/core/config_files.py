"""Config files: YAML of plain values, each key once."""

from pathlib import Path

import yaml

LARGEST = 10_000  # values of a config file; ours have about 30


class _UniqueKeys(yaml.SafeLoader):
    """YAML of plain values; a key that stands twice, of which YAML would take the last, is an error."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"{key} stands twice in line {node.start_mark.line + 1} and below")
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict:
    """The nested keys and values of a config file.

    Raises:
        ValueError: in one line with the file's name, why it is no config file.
        OSError: it cannot be read.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8-sig"), _UniqueKeys)
        keys = _keys(content)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in keys):
        raise ValueError(f"{path} is no config file: it must hold keys and values, such as OPTIM: {{LR: 0.002}}")
    return content


def _keys(content: object) -> list:
    """The keys of all nested mappings.

    Raises:
        ValueError: there are too many values; YAML's references can make any number of them of a few bytes, or a value
            that holds itself.
    """
    keys, waiting, n = [], [content], 0
    while waiting:
        node = waiting.pop()
        below = list(node.values() if isinstance(node, dict) else node if isinstance(node, (list, tuple, set)) else ())
        n += len(below)
        if n > LARGEST:
            raise ValueError(f"over {LARGEST} values: it is no config file, or a part holds itself")
        keys += node if isinstance(node, dict) else ()
        waiting += below
    return keys
