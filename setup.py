"""Compiles the kernels where the package is built; all else about it is in pyproject.toml.

They have a plain C interface and no Python in them, so that one wheel of a platform serves every Python and every
torch. Where there is no compiler the package is built without them and runs on torch's own kernels.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

BUILD = Path(__file__).parent / "src" / "unrolled" / "kernels" / "build.py"


class Kernels(build_ext):
    """Calls the package's own build, which knows the flags of each instruction set."""

    def build_extension(self, ext: Extension) -> None:
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            runpy.run_path(str(BUILD))["build"](target)
        except (FileNotFoundError, RuntimeError) as error:
            print(f"the kernels are left out, torch's are used: {error}", file=sys.stderr)

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split("."))) + ".so"

    def get_outputs(self) -> list[str]:
        return [path for path in super().get_outputs() if Path(path).exists()]


class Wheel(bdist_wheel):
    """One wheel for every Python of a platform."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


setup(
    ext_modules=[Extension("unrolled.kernels._kernels", sources=[], optional=True)],
    cmdclass={"build_ext": Kernels, "bdist_wheel": Wheel},
)
