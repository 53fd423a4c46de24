"""Write constraints.txt: one version of every package that an installation with all extras takes.

    python .ci/lock.py --torch 2.13.0 python3.10 python3.11 …

Each interpreter's own pip resolves the requirements of pyproject.toml, downloading as little as it can; where
interpreters differ, the lines carry markers. Interpreters that are not here are named and passed over. What torch
brings for graphics cards is left out: it differs by machine, and torch itself says which versions it takes.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import tomlkit

ROOT = Path(__file__).resolve().parent.parent
BROUGHT_BY_TORCH = re.compile(r"(nvidia|cuda)-.*|triton")


def requirements() -> list[str]:
    """All that pyproject.toml asks for, extras included."""
    project = tomlkit.parse((ROOT / "pyproject.toml").read_text(encoding="utf-8")).unwrap()["project"]
    return [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]


def minor_version(interpreter: str) -> int | None:
    """Its 3.minor; None where it cannot be run."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        found = subprocess.run([interpreter, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return None
    return int(found[1]) if found[:1] == ["3"] else None


def resolve(interpreter: str, wanted: list[str]) -> dict[str, str]:
    """Package -> version, as this interpreter's pip would install them into an empty environment."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([interpreter, "-m", "venv", folder], check=True)
        report = Path(folder, "report.json")
        pip = [str(Path(folder, "bin", "python")), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--dry-run", "--report", str(report), *wanted], check=True)
        installed = json.loads(report.read_text(encoding="utf-8"))["install"]
    found = {entry["metadata"]["name"]: entry["metadata"]["version"] for entry in installed}
    # The local part of a version ('+cpu') says which build; any build of that version is meant.
    return {re.sub(r"[-_.]+", "-", name).lower(): version.split("+")[0] for name, version in found.items()}


def lines(name: str, by_minor: dict[int, str], minors: list[int]) -> list[str]:
    """The pins of one package; one line without a marker where all interpreters agree.

    >>> lines("numpy", {10: "2.2", 11: "2.4", 12: "2.5", 13: "2.5"}, [10, 11, 12, 13])[1:]
    ['numpy==2.4; python_version == "3.11"', 'numpy==2.5; python_version >= "3.12"']
    """
    if len(set(by_minor.values())) == 1:
        return [f"{name}=={next(iter(by_minor.values()))}"]
    pins = []
    for version in dict.fromkeys(by_minor.values()):
        using = [minor for minor in minors if by_minor.get(minor) == version]
        first, last = f'python_version >= "3.{using[0]}"', f'python_version <= "3.{using[-1]}"'
        one = f'python_version == "3.{using[0]}"'
        both = one if len(using) == 1 else f"{first} and {last}"
        marker = last if using[0] == minors[0] else first if using[-1] == minors[-1] else both
        pins.append(f"{name}=={version}; {marker}")
    return pins


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--torch", required=True, help="the version of torch to pin")
    parser.add_argument("interpreters", nargs="+")
    asked = parser.parse_args()
    wanted = [f"torch=={asked.torch}", *requirements()]
    resolved: dict[int, dict[str, str]] = {}
    for interpreter in asked.interpreters:
        minor = minor_version(interpreter)
        if minor is None:
            print(f"{interpreter}: not here, passed over", file=sys.stderr)
            continue
        print(f"{interpreter}: resolving", file=sys.stderr)
        resolved[minor] = resolve(interpreter, wanted)
    if not resolved:
        sys.exit("none of these interpreters can be run")
    minors = sorted(resolved)
    names = sorted({name for packages in resolved.values() for name in packages})
    pins = [
        line
        for name in names
        if not BROUGHT_BY_TORCH.fullmatch(name)
        for line in lines(name, {m: resolved[m][name] for m in minors if name in resolved[m]}, minors)
    ]
    pythons = ", ".join(f"3.{minor}" for minor in minors)
    head = f"# Written by `make lock`, for Python {pythons}. torch stands without its local part: any build will do.\n"
    (ROOT / "constraints.txt").write_text(head + "\n".join(pins) + "\n", encoding="utf-8")
    print(f"constraints.txt: {len(pins)} pins", file=sys.stderr)


if __name__ == "__main__":
    main()
