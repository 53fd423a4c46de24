"""Compiling the kernels: `python -m unrolled.kernels.build`. Any C++17 compiler does; no library is needed.

The same sources are compiled once for each instruction set that the processor's family has, into one shared library
that looks at the machine when it is loaded. Installing from source calls this too, and goes on without the kernels
where there is no compiler.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SOURCES = Path(__file__).parent / "csrc"
LIBRARY = Path(__file__).parent / "_kernels.so"
"""Of that name on every system; it is loaded by its path."""

FLAGS = (
    *("-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra"),
    *("-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"),
)
# GCC 12 warns of its own headers (its bug 105593).
QUIET = ("-Wno-maybe-uninitialized",)
INSTRUCTION_SETS = {
    "x86_64": {
        "amx": ("-march=x86-64-v4", "-mavx512bf16", "-DAMX"),
        "avx512bf16": ("-march=x86-64-v4", "-mavx512bf16"),
        "avx512": ("-march=x86-64-v4",),
        "avx2": ("-mavx2", "-mfma"),
        "portable": (),
    },
}
"""Architecture -> name -> flags; others have the portable kernels alone, which for 64-bit ARM are its NEON."""


def compiler() -> list[str] | None:
    """The C++ compiler: $CXX, or the first that is there; None where there is none."""
    named = os.environ.get("CXX", "").split()
    for command in [named] if named else [["c++"], ["g++"], ["clang++"]]:
        if shutil.which(command[0]):
            return command
    return None


def build(target: Path = LIBRARY, *, flags: Sequence[str] = (), command: Sequence[str] | None = None) -> Path:
    """Compile the library, whole or not at all.

    Args:
        target: the file to write.
        flags: further flags, such as `-fsanitize=address`.
        command: the compiler, with its own arguments; None: `compiler()`. One for another machine compiles for that.

    Raises:
        FileNotFoundError: there is no compiler.
        RuntimeError: the compiler failed; the message is its own.
    """
    command = list(command or compiler() or ())
    if not command:
        raise FileNotFoundError("there is no C++ compiler (looked for $CXX, c++, g++, clang++)")
    sets = dict(INSTRUCTION_SETS.get(architecture(command), {"portable": ()}))
    with tempfile.TemporaryDirectory() as scratch:
        lacking: tuple[str, ...] = ()
        if "amx" in sets and not _knows_amx(command, Path(scratch)):
            del sets["amx"]
            lacking = ("-DNO_AMX",)
        jobs = [("isa.cpp", name, (f"-DISA={name}", *more)) for name, more in sets.items()]
        jobs += [(path.name, path.stem, lacking) for path in sorted(SOURCES.glob("*.cpp")) if path.name != "isa.cpp"]
        objects = [str(Path(scratch) / f"{name}.o") for _, name, _ in jobs]
        with ThreadPoolExecutor(os.cpu_count()) as workers:
            compiling = [
                workers.submit(
                    _run, [*command, *FLAGS, *QUIET, *more, *flags, "-c", str(SOURCES / source), "-o", target]
                )
                for (source, _, more), target in zip(jobs, objects, strict=True)
            ]
            for job in compiling:
                job.result()
        made = Path(scratch) / "made.so"
        _run([*command, "-shared", "-pthread", *flags, *objects, "-o", str(made)])
        # Beside the target first: from one file system to another a move is a copy, which can stop half-way.
        beside = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copyfile(made, beside)
        os.replace(beside, target)
    return target


def _knows_amx(command: Sequence[str], scratch: Path) -> bool:
    """Whether the assembler has the tiles' instructions; that of the GNU tools has them since 2020."""
    probe = scratch / "probe.cpp"
    probe.write_text('void release() { __asm__ volatile("tdpbf16ps %tmm2, %tmm1, %tmm0\\n\\ttilerelease"); }\n')
    compiling = [*command, "-c", str(probe), "-o", str(scratch / "probe.o")]
    return subprocess.run(compiling, capture_output=True, check=False).returncode == 0


def architecture(command: Sequence[str]) -> str:
    """What a compiler compiles for, such as `x86_64` or `aarch64`: its own word: it may be for another machine."""
    done = subprocess.run([*command, "-dumpmachine"], capture_output=True, text=True, check=False)
    machine = (done.stdout.partition("-")[0].strip() or platform.machine()).lower()
    return "x86_64" if machine == "amd64" else machine


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr.strip()}")


if __name__ == "__main__":
    try:
        print(build())
    except (FileNotFoundError, RuntimeError) as error:
        sys.exit(f"the kernels were not built: {error}")
