"""Where things lie that can be made again: a folder of the user's, the same for all trainings.

`UNROLLED_CACHE` in the environment names it; else it is `unrolled` in the folder that the system has for this: that of
`XDG_CACHE_HOME` or `~/.cache`, on Windows that of `LOCALAPPDATA`, on macOS `~/Library/Caches`. Whatever is in it may be
removed at any time when no training runs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

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
