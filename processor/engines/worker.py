"""What runs in a worker of any engine: it keeps the model of its last scan until another is asked for."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from processor.engines.memory import limit_memory
from processor.engines.tasks import ScanTask, attempt, attempt_model
from processor.errors import DigitInboxError, Transient
from processor.logs import LogPlan, start_in_worker
from processor.records import ScanResult
from processor.settings import LoadedSettings

if TYPE_CHECKING:
    from processor.pipeline import Reader

Read = Callable[[ScanTask], ScanResult]
Load = Callable[[LoadedSettings], Read]
"""Runs once in each worker and gives what reads a scan there; like a task, it must pickle."""


def load_pipeline(settings: LoadedSettings) -> Read:
    """Gives the function that reads one scan with the model its task names.

    No model is loaded yet: a worker that takes the place of a killed one must not fail because the model
    that CURRENT names meanwhile is refused. What it gives raises BadModel.
    """
    # Before torch and OpenCV are imported: each worker has one core, and more threads only get in its way.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    import cv2
    import torch

    from processor.pipeline import load_reader, process

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    held: tuple[Path | None, Reader] | None = None

    def read(task: ScanTask) -> ScanResult:
        nonlocal held
        if held is None or held[0] != task.model:
            loaded = attempt_model(task.model or Path("current"), lambda: load_reader(settings, task.model))
            if isinstance(loaded, DigitInboxError):
                if not task.staging.is_dir():
                    # The copies of the models lie beside it: what is away is the folder, not the model.
                    raise Transient(f"{task.staging} is away.", "Bring the folder back.")
                raise loaded
            held = (task.model, loaded)
        return process(
            task.source,
            file=task.file,
            sha256=task.sha256,
            reader=held[1],
            settings=settings,
            staging=task.staging,
            corrected=task.corrected,
        )

    return read


_loaded: list[Read | DigitInboxError] = []


def start_worker(
    load: Load, settings: LoadedSettings, logs: LogPlan, leave_word: Callable[[], None] | None = None
) -> None:
    """Makes this process a worker; `leave_word` is called before it ends itself for its memory."""
    start_in_worker(logs)
    limit_memory(settings.values.limits.worker_memory_mb, leave_word)
    try:
        _loaded.append(load(settings))
    except DigitInboxError as error:
        # A worker that ends here would be started again, for ever: its tasks carry the reason instead.
        _loaded.append(error)


def examine(folder: Path, device: str) -> DigitInboxError | None:
    """Loads the model as reading would, and lets it go; what is wrong with it, if anything."""
    from processor.prediction.classifier import Classifier

    loaded = attempt_model(folder, lambda: Classifier.load(folder, device))
    return loaded if isinstance(loaded, DigitInboxError) else None


def read_task(task: ScanTask) -> ScanResult | DigitInboxError:
    """What this worker makes of a scan."""
    read = _loaded[0]
    return read if isinstance(read, DigitInboxError) else attempt(task, read)
