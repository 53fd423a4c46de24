from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from unrolled import files
from unrolled.errors import CannotWrite
from unrolled.files import COMPLETE, STAGED, finish, locate, replace_files, write_whole

OLD = {"config.json": b"old config", "model.safetensors": b"old weights", "words.json": b"old words"}
NEW = {"config.json": b"new config", "model.safetensors": b"new weights" * 1000, "words.json": b""}


class Killed(BaseException):
    """As SIGKILL: nothing catches it, and nothing that the process does afterwards reaches the disk."""


class Executioner:
    """Kills what runs inside `life` at its n-th call of the system that may change a file.

    Python announces each of these before it makes it (an audit event), so a kill there is a kill between two calls;
    from then on every further one is refused as well, so that no `finally` can tidy up.
    """

    EVENTS = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree")

    def __init__(self) -> None:
        self.calls, self.limit, self.alive = 0, 0, False
        sys.addaudithook(self.hook)  # cannot be removed: idle outside `life`

    def hook(self, event: str, _: object) -> None:
        if self.alive and event in self.EVENTS:
            self.calls += 1
            if self.calls > self.limit:
                raise Killed

    @contextmanager
    def life(self, calls: int) -> Iterator[None]:
        self.calls, self.limit, self.alive = 0, calls, True
        try:
            yield
        finally:
            self.alive = False


EXECUTIONER = Executioner()


def die_at_each_call(prepare: Callable[[], None], act: Callable[[], None]) -> Iterator[int]:
    """Prepare and act again and again, killed after 0, 1, 2, … calls, until it is not killed any more."""
    for calls in range(1000):
        prepare()
        try:
            with EXECUTIONER.life(calls):
                act()
        except Killed:
            yield calls
        else:
            return


def read(folder: Path, names: Mapping[str, bytes] = OLD) -> dict[str, bytes]:
    """What a reader sees, who does not mend anything."""
    return {name: locate(folder, name).read_bytes() for name in names}


def lay(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put files into an emptied folder without the code under test."""
    subprocess.run(["rm", "-rf", str(folder)], check=True)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"one")
    write_whole(str(tmp_path / "a"), b"two")
    assert (tmp_path / "a").read_bytes() == b"two"
    assert listing(tmp_path) == ["a"]


def test_a_file_may_be_read_by_whom_the_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_file_killed_at_any_call_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    folder, seen = tmp_path / "folder", set()
    for _ in die_at_each_call(lambda: lay(folder, {"a": b"old"}), lambda: write_whole(folder / "a", b"new" * 9999)):
        seen.add((folder / "a").read_bytes())
    assert seen == {b"old", b"new" * 9999}


def test_a_set_of_files_is_written_beside_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "model"
    replace_files(folder, OLD)
    (folder / "notes.txt").write_text("mine")
    replace_files(folder, NEW)
    assert read(folder) == NEW
    assert listing(folder) == sorted([*NEW, "notes.txt"])


def test_a_set_killed_at_any_call_is_wholly_old_or_wholly_new(tmp_path: Path) -> None:
    folder, seen = tmp_path / "model", []
    for calls in die_at_each_call(lambda: lay(folder, OLD), lambda: replace_files(folder, NEW)):
        found = read(folder)
        assert found in (OLD, NEW), f"a mixture after {calls} calls"
        finish(folder)
        assert read(folder) == found, f"finishing after {calls} calls changed what is read"
        assert listing(folder) == sorted(OLD), f"something is left after {calls} calls"
        seen.append(found == NEW)
    # Once new, always new; and there are moments of both kinds, also between two renames.
    assert seen == sorted(seen)
    assert seen.count(False) >= len(NEW)
    assert seen.count(True) >= len(NEW)


def test_a_writer_killed_while_it_finishes_anothers_work_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    newest = dict.fromkeys(OLD, b"newest")

    def prepare() -> None:
        lay(folder, OLD)
        lay(folder / STAGED, {**NEW, COMPLETE: b""})  # killed just after the marker

    for calls in die_at_each_call(prepare, lambda: replace_files(folder, newest)):
        assert read(folder) in (NEW, newest), f"a mixture after {calls} calls"


@pytest.mark.parametrize("half", [True, False], ids=["half a file", "no file"])
def test_a_set_whose_writer_died_before_the_marker_counts_for_nothing(tmp_path: Path, half: bool) -> None:
    lay(tmp_path / "model", OLD)
    lay(tmp_path / "model" / STAGED, {"model.safetensors": b"new wei"} if half else {})
    assert read(tmp_path / "model") == OLD
    finish(tmp_path / "model")
    assert listing(tmp_path / "model") == sorted(OLD)


def test_a_first_set_killed_at_any_call_is_there_or_not(tmp_path: Path) -> None:
    folder, seen = tmp_path / "model", set()

    def prepare() -> None:
        subprocess.run(["rm", "-rf", str(folder)], check=True)

    for _ in die_at_each_call(prepare, lambda: replace_files(folder, NEW)):
        there = [name for name in NEW if locate(folder, name).exists()]
        assert there in ([], list(NEW))
        seen.add(len(there))
    assert seen == {0, len(NEW)}


def test_finishing_a_folder_that_needs_none_changes_nothing(tmp_path: Path) -> None:
    lay(tmp_path / "model", OLD)
    finish(tmp_path / "model")
    finish(tmp_path / "absent")
    assert read(tmp_path / "model") == OLD
    assert listing(tmp_path) == ["model"]


LIMITED = """
import resource, sys
from unrolled.errors import CannotWrite
from unrolled.files import replace_files, write_whole
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    {call}
except CannotWrite as error:
    sys.exit(str(error))
"""


def run_where_files_end_at_1000_bytes(call: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED.format(call=call)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    return done.stderr.strip()


@pytest.mark.skipif(os.name != "posix", reason="limits on a file's size are POSIX's")
def test_no_room_for_a_file_leaves_the_old_one(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"old")
    message = run_where_files_end_at_1000_bytes("write_whole('a', bytes(5000))", tmp_path)
    assert message == "cannot write a: File too large; what was there is unchanged"
    assert (tmp_path / "a").read_bytes() == b"old"
    assert listing(tmp_path) == ["a"]


@pytest.mark.skipif(os.name != "posix", reason="limits on a file's size are POSIX's")
def test_no_room_for_a_set_leaves_the_old_one(tmp_path: Path) -> None:
    lay(tmp_path / "model", OLD)
    call = "replace_files('model', {'config.json': b'new', 'model.safetensors': bytes(5000), 'words.json': b''})"
    message = run_where_files_end_at_1000_bytes(call, tmp_path)
    assert message == "cannot write into model: File too large; what was there is unchanged"
    assert read(tmp_path / "model") == OLD
    assert listing(tmp_path / "model") == sorted(OLD)


class FullDisk:
    """Each file accepts no byte: what `/dev/full` does, for any path."""

    def __init__(self, real: Callable) -> None:
        self.real = real

    def __call__(self, path: Path, mode: str = "r", *rest: object, **more: object) -> object:
        return self.real("/dev/full" if "w" in mode or "x" in mode else path, mode.replace("x", "w"), *rest, **more)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_named_and_the_old_set_survives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path / "model", OLD)
    with monkeypatch.context() as patched:
        patched.setattr("unrolled.files.open", FullDisk(open), raising=False)
        with pytest.raises(CannotWrite, match=r"^cannot write into .*: No space left on device; .* unchanged$"):
            replace_files(tmp_path / "model", NEW)
        with pytest.raises(CannotWrite, match=r"^cannot write .*: No space left on device; .* unchanged$"):
            write_whole(tmp_path / "model" / "config.json", b"new")
    assert read(tmp_path / "model") == OLD
    assert listing(tmp_path / "model") == sorted(OLD)


@pytest.fixture
def unsure_marker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes everything but the marker."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("which file a descriptor is can be seen under /proc only")
    real = os.fsync

    def fails_for_the_marker(handle: int) -> None:
        if os.readlink(f"/proc/self/fd/{handle}").endswith(COMPLETE):
            raise OSError(5, "Input/output error")
        real(handle)

    monkeypatch.setattr(os, "fsync", fails_for_the_marker)


@pytest.mark.usefixtures("unsure_marker")
def test_a_marker_that_could_not_be_made_sure_of_is_taken_back(tmp_path: Path) -> None:
    lay(tmp_path / "model", OLD)
    with pytest.raises(CannotWrite, match=r": Input/output error; what was there is unchanged$"):
        replace_files(tmp_path / "model", NEW)
    assert read(tmp_path / "model") == OLD
    assert listing(tmp_path / "model") == sorted(OLD)


@pytest.mark.usefixtures("unsure_marker")
def test_a_writer_killed_while_it_takes_the_marker_back_leaves_no_mixture(tmp_path: Path) -> None:
    def act() -> None:
        with suppress(CannotWrite):
            replace_files(tmp_path / "model", NEW)

    for calls in die_at_each_call(lambda: lay(tmp_path / "model", OLD), act):
        assert read(tmp_path / "model") in (OLD, NEW), f"a mixture after {calls} calls"


def test_a_rename_that_fails_is_said_and_the_new_set_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path / "model", OLD)
    real = os.replace

    def fails_for_the_weights(source: Path, target: Path) -> None:
        if Path(source).name == "model.safetensors":
            raise PermissionError(13, "Permission denied")
        real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fails_for_the_weights)
        staged = re.escape(str(tmp_path / "model" / STAGED))
        message = f"Permission denied; the new files are whole, and are read from {staged}$"
        with pytest.raises(CannotWrite, match=message):
            replace_files(tmp_path / "model", NEW)
        assert read(tmp_path / "model") == NEW
    finish(tmp_path / "model")
    assert read(tmp_path / "model") == NEW
    assert listing(tmp_path / "model") == sorted(NEW)


def test_a_folder_where_a_file_should_be_is_found_before_anything_changes(tmp_path: Path) -> None:
    lay(tmp_path / "model", {"config.json": OLD["config.json"]})
    (tmp_path / "model" / "words.json").mkdir()
    with pytest.raises(CannotWrite, match=r"words\.json is a folder; what was there is unchanged$"):
        replace_files(tmp_path / "model", NEW)
    assert (tmp_path / "model" / "config.json").read_bytes() == b"old config"
    assert listing(tmp_path / "model") == ["config.json", "words.json"]


def test_a_file_in_a_folders_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("I am a file")
    with pytest.raises(CannotWrite, match=r"^cannot write into .*model: File exists; what was there is unchanged$"):
        replace_files(tmp_path / "model", NEW)
    (tmp_path / "folder").mkdir()
    with pytest.raises(CannotWrite, match=r"^cannot write .*folder: Is a directory; what was there is unchanged$"):
        write_whole(tmp_path / "folder", b"")
    assert listing(tmp_path) == ["folder", "model"]


FORBIDDEN = """
import os, sys
from unrolled.errors import CannotWrite
from unrolled.files import replace_files, write_whole
if os.geteuid() == 0:
    os.setuid(65534)  # root may write everywhere, so be nobody
new = {"config.json": b"new"}
for write, arguments in ((write_whole, ("model/config.json", b"new")), (replace_files, ("model", new))):
    try:
        write(*arguments)
    except CannotWrite as error:
        print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="who may write where is said otherwise than by POSIX's modes")
def test_no_permission_is_named_and_nothing_changes(tmp_path: Path) -> None:
    lay(tmp_path / "model", OLD)
    (tmp_path / "model").chmod(0o555)
    try:
        done = subprocess.run(
            [sys.executable, "-c", FORBIDDEN], cwd=tmp_path, capture_output=True, text=True, check=True
        )
    finally:
        (tmp_path / "model").chmod(0o755)
    assert done.stdout.splitlines() == [
        "cannot write model/config.json: Permission denied; what was there is unchanged",
        "cannot write into model: Permission denied; what was there is unchanged",
    ]
    assert read(tmp_path / "model") == OLD
    assert listing(tmp_path / "model") == sorted(OLD)


@pytest.mark.parametrize("name", ["complete", ".staged", "..", ".", "", "a/b", "/etc/passwd", "../a"])
def test_a_name_that_leads_elsewhere_or_is_the_journals_is_refused(tmp_path: Path, name: str) -> None:
    lay(tmp_path / "model", OLD)
    with pytest.raises(ValueError, match=re.escape(f"{name!r} cannot be the name of a file in a set")):
        replace_files(tmp_path / "model", {"config.json": b"new", name: b""})
    assert read(tmp_path / "model") == OLD
    assert listing(tmp_path / "model") == sorted(OLD)


def test_what_a_killed_writer_left_is_swept_away_and_nothing_else(tmp_path: Path) -> None:
    kept = [".lock", "history.csv", ".history.csv", ".notes.0123456789abcdef0", ".hidden.2c54bedf09988zzz"]
    for name in (*kept, ".history.csv.2c54bedf099889d8"):
        (tmp_path / name).write_text("x")
    files.sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_a_file_that_is_being_written_has_a_name_that_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", killed)
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
    with pytest.raises(KeyboardInterrupt):
        files.write_whole(tmp_path / "history.csv", b"x")
    monkeypatch.undo()
    assert len(list(tmp_path.iterdir())) == 1
    files.sweep(tmp_path)
    assert not list(tmp_path.iterdir())
