"""Outputs appear whole or not at all: a full disk or a kill leaves what was there before.

One file is written to a temporary name beside its place, flushed to the disk, and renamed. Several files that
belong together (a model folder) go through a small journal, `replace_files`: all are staged in `.staged/`, a marker
says that the set is complete, then each is renamed into place. Readers ask `locate` for a file's path, so that they
see the whole new set from the moment of the marker on, even where the writer was killed between two renames.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from unrolled.errors import CannotWrite

STAGED = ".staged"
COMPLETE = "complete"


def write_whole(path: str | Path, content: bytes) -> None:
    """Write one file, whole or not at all. Raises `CannotWrite` with the system's reason."""
    path = Path(path)
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise CannotWrite(f"cannot write {path}: {error.strerror or error}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            _write_through(file, content)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise CannotWrite(f"cannot write {path}: {error.strerror or error}; what was there is unchanged") from None
    finally:
        Path(temporary).unlink(missing_ok=True)
    _sync_folder(path.parent)


def replace_files(folder: str | Path, files: Mapping[str, bytes]) -> None:
    """Put a set of files into a folder (made if need be): all of them, or none. Other files stay.

    Raises `CannotWrite` with the system's reason; what was in the folder is then unchanged.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        finish(folder)
        staged = folder / STAGED
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir()
        for name, content in files.items():
            with open(staged / name, "wb") as file:
                _write_through(file, content)
        _sync_folder(staged)
        with open(staged / COMPLETE, "wb") as file:
            _write_through(file, b"")
        _sync_folder(staged)
    except OSError as error:
        if not (folder / STAGED / COMPLETE).exists():
            shutil.rmtree(folder / STAGED, ignore_errors=True)
        reason = f"{error.strerror or error}; what was there is unchanged"
        raise CannotWrite(f"cannot write into {folder}: {reason}") from None
    finish(folder)


def finish(folder: str | Path) -> None:
    """Complete a set whose writer was killed after the marker; drop one whose writer was killed before it."""
    folder = Path(folder)
    staged = folder / STAGED
    if (staged / COMPLETE).exists():
        for path in sorted(staged.iterdir()):
            if path.name != COMPLETE:
                os.replace(path, folder / path.name)
        _sync_folder(folder)
        (staged / COMPLETE).unlink()
    shutil.rmtree(staged, ignore_errors=True)


def locate(folder: str | Path, name: str) -> Path:
    """Where a file of the folder's newest complete set is. It need not exist."""
    folder = Path(folder)
    staged = folder / STAGED
    if (staged / COMPLETE).exists() and (staged / name).exists():
        return staged / name
    return folder / name


def _write_through(file, content: bytes) -> None:  # type: ignore[no-untyped-def]
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    # A rename is on the disk only when its folder is; Windows cannot open a folder, and does not need to.
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
