"""Classes of failed writes, for the counters of retries."""

from workers.errors import TooLarge, WriteError

#: Class of each HTTP status that has one of its own. The classes are a closed list, because each of them
#: is a label of a metric.
CLASSES = {
    0: "no_answer",
    401: "credentials",
    403: "credentials",
    404: "not_found",
    408: "busy",
    413: "too_large",
    429: "busy",
}

#: All classes.
RETRY_CLASSES = (*dict.fromkeys(CLASSES.values()), "timeout", "server_error", "other")


def retry_class(error: WriteError) -> str:
    """Return the class of a write that failed and is repeated.

    A write that had no answer in time is a `TooLarge` without a status.
    """
    if isinstance(error, TooLarge) and not error.status:
        return "timeout"
    return CLASSES.get(error.status) or ("server_error" if error.status >= 500 else "other")
