"""Classes by name."""

from .tools import check_availability

__all__ = ["Registry"]


class Registry:
    """A mapping from names to objects, filled with a decorator.

    >>> R = Registry("TRAINER")
    >>> @R.register()
    ... class MyTrainer: ...
    >>> R.get("MyTrainer")
    """

    def __init__(self, name: str):
        self._name = name
        self._objects = {}

    def register(self, obj=None, force: bool = False):
        """Store `obj` under its `__name__`; without `obj`, return a decorator that does. A taken name is a KeyError."""
        if obj is None:
            return lambda decorated: self._add(decorated, force) or decorated
        return self._add(obj, force)

    def _add(self, obj, force):
        name = obj.__name__
        if name in self._objects and not force:
            raise KeyError(f'An object named "{name}" was already registered in "{self._name}" registry')
        self._objects[name] = obj

    def get(self, name: str):
        """Return the object called `name`; KeyError if there is none."""
        if name not in self._objects:
            raise KeyError(f'Object name "{name}" does not exist in "{self._name}" registry')
        return self._objects[name]

    def build(self, name: str, cfg, **kwargs):
        """Return what the class called `name` makes of a config; ValueError with the choices if there is none."""
        check_availability(name, self.registered_names())
        if cfg.VERBOSE:
            print(f"Loading {self._name.lower()}: {name}")
        return self.get(name)(cfg, **kwargs)

    def registered_names(self) -> list[str]:
        """Return all names in the order of registration."""
        return list(self._objects)
