"""The engine that the settings name; one that was not chosen is not imported."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from processor.engines.local import LocalEngine
from processor.engines.tasks import Engine
from processor.errors import BadSettings
from processor.settings import LoadedSettings


def choose_engine(
    settings: LoadedSettings, workers: int | None = None, *, folders: Sequence[Path] = ()
) -> Engine:
    """An engine of `workers` workers, by default as many as the settings say; each must see `folders`.

    Raises BadSettings where the engine is not installed, or cannot be reached.
    """
    chosen = settings.values.workers
    if chosen.engine == "local":
        return LocalEngine(settings, workers or chosen.resolved_count())
    if find_spec("ray") is None:
        raise BadSettings(
            f"workers.engine = {chosen.engine!r} ({settings.origins['workers.engine']}): "
            "Ray is not installed here.",
            "Install it with `pip install 'digit-inbox[cluster]'`, here and on every node, "
            "or set workers.engine to 'local'.",
        )
    from processor.engines.ray import RayEngine

    given = None if chosen.count == "auto" else chosen.count
    return RayEngine(settings, workers or given, folders=folders)
