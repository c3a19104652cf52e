"""What a candidate is judged by beside the frozen sets: test sets at hand, and a person's own corrections."""

from pathlib import Path

from processor.settings import LoadedSettings
from training.inks import Inks
from training.pruning import database_is_there
from training.staging import Notice, unheard
from training.testsets import digit_sets

CORRECTIONS = "corrections"


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
