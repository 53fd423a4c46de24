"""Where things lie that can be made again: a folder of the user's, the same for all trainings.

`UNROLLED_CACHE` in the environment names it; else it is `unrolled` in the folder that the system has for this: that of
`XDG_CACHE_HOME` or `~/.cache`, on Windows that of `LOCALAPPDATA`, on macOS `~/Library/Caches`. Whatever is in it may be
removed at any time when no training runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from unrolled.errors import CannotWrite
from unrolled.files import write_whole

VARIABLE = "UNROLLED_CACHE"


def folder() -> Path:
    """The folder; it need not exist."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    if sys.platform == "win32":
        place = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        place = Path.home() / "Library" / "Caches"
    else:
        place = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(place) / "unrolled"


def key(of: Mapping[str, Any]) -> str:
    """A file's name for what depends on these plain values and nothing else."""
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:32]


def remembered(kind: str, of: Mapping[str, Any], make: Callable[[], Any]) -> Any:
    """A plain value that was made before, or is made now and kept.

    Args:
        kind: of what; the name of a folder.
        of: all that the value depends on.
        make: makes it.

    What is damaged is made anew; what cannot be kept is made each time.
    """
    path = folder() / kind / f"{key(of)}.json"
    with suppress(OSError, ValueError, RecursionError):
        checksum, _, content = path.read_bytes().partition(b"\n")
        if hashlib.sha256(content).hexdigest().encode() == checksum:
            return json.loads(content)
    content = json.dumps(make()).encode()
    with suppress(OSError, CannotWrite):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
    return json.loads(content)
