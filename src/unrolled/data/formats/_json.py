"""What the JSON formats share: a value from text, with messages that say where it is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unrolled.errors import BadData


def load(text: str, where: str | Path, line: int | None = None) -> Any:
    """The value of a JSON text. line: its own, where it is one of several. Raises `BadData` for what is none."""
    try:
        value = json.loads(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise BadData(f"not JSON: {error.msg} at character {error.colno}", where, line or error.lineno) from None
    except UnicodeEncodeError as error:
        code = f"\\u{ord(error.object[error.start]):04x}"
        raise BadData(f"{code} is half a character (a lone surrogate)", where, line) from None
    except (ValueError, RecursionError) as error:
        raise BadData(f"not JSON that can be read: {error}", where, line) from None
    return value


def kind(value: Any) -> str:
    """What a JSON value is, in words; or what else a table's cell may hold, as Parquet has bytes and dates."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    names = {dict: "an object", list: "a list", str: "a string", int: "a number", float: "a number", bytes: "bytes"}
    return names.get(type(value), f"a {type(value).__name__}")
