"""What a series must be like to be learnt from beside others.

What must be raises `BadData` with the name of the series, and its file and line where they are known.
"""

from __future__ import annotations

from unrolled.data.examples import Series


def must_be_like(example: Series, first: Series) -> None:
    """Raise where it has no value, or where only one of the two has times."""
    if not example.known:
        raise example.problem(f"no value of the series {example.series!r} is known")
    if (example.time is None) != (first.time is None):
        raise example.problem("some series have times and some have none")
