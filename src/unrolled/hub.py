"""Model folders on a hub, through `huggingface_hub` (the extra `hub`)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unrolled.errors import BadModel, CannotWrite, MissingExtra

KEPT = ["*.json", "*.safetensors", "*.md", "*.toml", "*.csv", "*.png"]
"""What a model folder consists of; nothing else is fetched."""


def fetch(name: str) -> Path:
    """Download the model `user/model`; returns its folder. Raises `BadModel` where it cannot be had."""
    hub = _hub()
    try:
        return Path(hub.snapshot_download(name, allow_patterns=KEPT))
    except Exception as error:  # the library's own tree is wide: HTTP, repository, cache, offline
        raise BadModel(f"there is no folder {name!r}, and the hub gave no model of that name: {error}") from None


def publish(save: Callable[[Path], None], name: str, *, private: bool) -> str:
    """Upload a model as `user/model`; returns its address. Raises `CannotWrite` where the hub refuses."""
    hub = _hub()
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder))
        try:
            hub.create_repo(name, private=private, exist_ok=True)
            return str(hub.upload_folder(repo_id=name, folder_path=folder, allow_patterns=KEPT))
        except Exception as error:
            raise CannotWrite(f"the hub did not take {name!r}: {error}") from None


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise MissingExtra("huggingface_hub", extra="hub", need="the hub") from None
    return huggingface_hub
