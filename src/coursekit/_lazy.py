"""Hand names on that are imported when they are first used."""

from importlib import import_module


def attach(package, homes, modules=()):
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a package.

    Parameters
    ----------
    package : str
        Its name.
    homes : dict of str to str
        A name, and the module below the package that holds it.
    modules : dict of str to str
        The same for names that are modules themselves.
    """
    names = [*homes, *modules]

    def getter(name):
        if name in homes:
            return getattr(import_module(f"{package}.{homes[name]}"), name)
        if name in modules:
            return import_module(f"{package}.{modules[name]}")
        raise AttributeError(
            f"{package} has no attribute {name!r}; it offers {', '.join(names)}"
        )

    return getter, lambda: sorted(names), names
