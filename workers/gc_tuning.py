"""Python's search for garbage in cycles, fitted to a worker: what it makes by the record has none."""

import gc

#: Objects that may be made, and not freed, before cycles are looked for among them. Python's 700 would have
#: every batch looked through several times, for nothing: messages and lines are freed by their counts.
#: Measured: a tenth of a worker's CPU.
YOUNG_OBJECTS = 50_000


def settle() -> None:
    """Call once, when everything that stays is there: it need not be looked through again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
