"""Outputs appear whole or not at all: a full disk or a kill leaves what was there before.

One file is written to a temporary name beside its place, flushed to the disk, and renamed. Several files that
belong together (a model folder) go through a small journal, `replace_files`: all are staged in `.staged/`, a marker
says that the set is complete, then each is renamed into place. Readers ask `locate` for a file's path, so that they
see the whole new set from the moment of the marker on, even where the writer was killed between two renames.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from unrolled.errors import CannotWrite

STAGED = ".staged"
COMPLETE = "complete"


def must_have_folder(path: Path) -> None:
    """Before work whose end is this file. Raises `CannotWrite` where the folder that it is to lie in is not there."""
    if not path.parent.is_dir():
        raise CannotWrite(f"cannot write {path}: there is no folder {path.parent}")


def write_whole(path: str | Path, content: bytes) -> None:
    """Write one file, whole or not at all. Raises `CannotWrite` with the system's reason."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(temporary, "xb") as file:
            _write_through(file, content)
        os.replace(temporary, path)
    except OSError as error:
        raise CannotWrite(f"cannot write {path}: {error.strerror or error}; what was there is unchanged") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def replace_files(folder: str | Path, files: Mapping[str, bytes]) -> None:
    """Put a set of files into a folder (made if need be): all of them, or none. Other files stay.

    Raises `CannotWrite` with the system's reason; what was in the folder is then unchanged. Raises `ValueError` for a
    name that is no plain file name, or is one that the journal needs.
    """
    folder = Path(folder)
    for name in files:
        if name in (COMPLETE, STAGED, ".", "..", "") or Path(name).name != name:
            raise ValueError(f"{name!r} cannot be the name of a file in a set")
    fate = "what was there is unchanged"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        finish(folder)
        for name in files:
            # Found out now, while the old set is whole: a file cannot take the place of a folder.
            if (folder / name).is_dir():
                raise IsADirectoryError(errno.EISDIR, f"{name} is a folder")
        _stage(folder / STAGED, files)
        fate = f"the new files are whole, and are read from {folder / STAGED}"
        finish(folder)
    except OSError as error:
        raise CannotWrite(f"cannot write into {folder}: {error.strerror or error}; {fate}") from None


def _stage(staged: Path, files: Mapping[str, bytes]) -> None:
    """All files and the marker, or nothing."""
    try:
        staged.mkdir()
        for name, content in files.items():
            with open(staged / name, "wb") as file:
                _write_through(file, content)
        _sync_folder(staged)
        with open(staged / COMPLETE, "wb") as file:
            _write_through(file, b"")
        _sync_folder(staged)
    except OSError:
        # The marker first: without it what else is left counts for nothing.
        (staged / COMPLETE).unlink(missing_ok=True)
        shutil.rmtree(staged, ignore_errors=True)
        raise


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


def sweep(folder: str | Path) -> None:
    """Remove what writers of single files left who were killed. To be called by the only one who writes there."""
    for path in Path(folder).iterdir():
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}")
"""As `write_whole` names them."""


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
    # A rename is on the disk only when its folder is. Windows cannot open a folder, and does not need to; some network
    # file systems cannot either, and there is no more that we could do there.
    if os.name == "posix":
        with suppress(OSError):
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
