"""The data of a demo: one file of a package. It is read where it lies; nothing of the package is imported or run."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from unrolled.errors import BadData, MissingExtra


def resource(package: str, name: str) -> Path:
    """Where a package's file of that name is.

    Raises:
        MissingExtra: the package is not installed.
        BadData: it has no file of that name.
    """
    try:
        files = importlib.metadata.distribution(package).files or []
    except importlib.metadata.PackageNotFoundError:
        raise MissingExtra(package, extra="demo", need="the demo") from None
    for file in files:
        if file.name == name:
            return Path(str(file.locate()))
    raise BadData(f"the package {package} holds no {name}; is it another version?")
