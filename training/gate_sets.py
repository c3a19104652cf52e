"""What a candidate is judged by beside the frozen sets: test sets at hand, and a person's own corrections."""

from pathlib import Path

from processor.errors import BadModel
from processor.prediction.archive import find_model
from processor.prediction.strip_reader import STRIPS
from processor.settings import LoadedSettings
from training.inks import Inks
from training.pruning import database_is_there
from training.staging import Notice, unheard
from training.strip_sets import StripSet, held_out_set, learned_by, own_set
from training.testsets import digit_sets

CORRECTIONS = "corrections"


def strip_gate_sets(
    archive: Path,
    name: str,
    data: Path,
    *,
    own: Path | None = None,
    table: Path | None = None,
    settings: LoadedSettings | None = None,
    notice: Notice = unheard,
) -> list[StripSet]:
    """Strips for the second readers of the model `name` and of the one in use, where both have one.

    Those that are kept out of every training, one's `own`, but for those that either was trained on, and the
    numbers that were corrected in the database of `settings`.
    Raises BadModel where there is no such model, BadCommand where none of `own` is left.
    """
    candidate = find_model(archive, name)
    try:
        models = [candidate, find_model(archive, "current")]
    except BadModel:
        return []
    if not all(any(row["file"] == STRIPS for row in model.manifest["weights"]) for model in models):
        return []
    held_out = held_out_set(data, notice)
    sets = [] if held_out is None else [held_out]
    if own is not None:
        sets.append(own_set(own, table, learned_by(*(model.manifest for model in models)), notice))
    if settings is not None and database_is_there(settings):
        from training.corrections import corrected_strips

        sets.append(corrected_strips(settings, CORRECTIONS))
    return sets


def gate_sets(settings: LoadedSettings, data: Path, notice: Notice = unheard) -> dict[str, Inks]:
    """Digits by the name of their set; `notice` hears which sets are not there.

    Raises BadCommand where data are damaged, BadDatabase where there is a database that cannot be read.
    """
    sets = {test.name: test.inks for test in digit_sets(data)} if data.is_dir() else {}
    if not sets:
        notice(f"{data} holds no test set: the frozen sets are the only digits from elsewhere.")
    if not database_is_there(settings):
        notice("There is no results database yet, so no corrections to be judged by.")
        return sets
    # Only who has corrections waits for the page reader to be loaded.
    from training.corrections import corrected_digits

    corrected = corrected_digits(settings)
    if not len(corrected):
        notice("The database holds no corrections to be judged by.")
        return sets
    return {**sets, CORRECTIONS: corrected}
