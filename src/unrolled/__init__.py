"""Recurrent sequence models: trained, understood and shipped, on a CPU.

    from unrolled import Tagger, Classifier      one class a task: train, fit, predict, evaluate, save, load
    from unrolled.nn import LSTM                 torch.nn.LSTM's twin

Every file in `tasks/` is a class here, under the name of the class that it defines.
"""

from __future__ import annotations

from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

__version__ = _version("unrolled")

if TYPE_CHECKING:
    from unrolled.api import Model

    class Answerer(Model): ...

    class Captioner(Model): ...

    class Classifier(Model): ...

    class Composer(Model): ...

    class Forecaster(Model): ...

    class LanguageModel(Model): ...

    class Regressor(Model): ...

    class Tagger(Model): ...

    class Transcriber(Model): ...

    class Translator(Model): ...


def __getattr__(name: str) -> Any:
    # Imported when first asked for: `import unrolled.nn` must not wait for the rest.
    if not name[:1].isupper():  # submodules and dunders
        raise AttributeError(f"module 'unrolled' has no attribute {name!r}")
    for task, kind in _kinds().items():
        if kind == name:
            from unrolled.api import model_class

            return model_class(task)
    raise AttributeError(f"module 'unrolled' has no attribute {name!r}; the tasks are {', '.join(_kinds().values())}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_kinds().values()])


def _kinds() -> dict[str, str]:
    from unrolled.lookup import find, names
    from unrolled.tasks.base import Task

    return {task: find("unrolled.tasks", task, Task, "task").__name__ for task in names("unrolled.tasks", Task)}
