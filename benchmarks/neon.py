"""Whether the kernels are right on 64-bit ARM, without such a machine: a cross compiler and an emulator.

    python benchmarks/neon.py [--cases 200] [--compiler aarch64-linux-gnu-g++] [--emulator qemu-aarch64-static]

Compiles the library for that processor, and the programs of `tests/kernels`: those that run it on random sizes, and the
one that holds it against the equations in double precision, in float32 and in bfloat16. Then runs them. Debian has what
is needed in the packages g++-aarch64-linux-gnu and qemu-user-static. It says what is right, not what is fast.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from unrolled.kernels import build

PROGRAMS = Path(__file__).resolve().parent.parent / "tests" / "kernels"
NEEDED = "Debian: apt-get install g++-aarch64-linux-gnu qemu-user-static"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--compiler", default="aarch64-linux-gnu-g++")
    parser.add_argument("--emulator", default="qemu-aarch64-static")
    parser.add_argument("--libraries", default="/usr/aarch64-linux-gnu", help="where that processor's system is")
    given = parser.parse_args()
    for what, command in (("cross compiler", given.compiler), ("emulator", given.emulator)):
        if shutil.which(command) is None:
            sys.exit(f"there is no {what} {command} here ({NEEDED})")
    print(f"compiling for {build.architecture([given.compiler])}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        library = build.build(Path(scratch) / "kernels.so", command=[given.compiler])
        for source in sorted([*PROGRAMS.glob("fuzz*.cpp"), PROGRAMS / "against_scalar.cpp"]):
            program, since = Path(scratch) / source.stem, time.perf_counter()
            flags = ["-std=c++17", "-O2", f"-I{build.SOURCES}", "-pthread"]
            subprocess.run([given.compiler, *flags, str(source), str(library), "-o", str(program)], check=True)
            words = [given.emulator, "-L", given.libraries, str(program), str(given.cases)]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{source.name} failed ({done.returncode}): {done.stdout}{done.stderr}")
            print(f"{source.name}: {done.stdout.strip()} ({time.perf_counter() - since:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
