"""Everything that can go wrong, split by what the loop must do about it.

TowerError
├── SettingsError          stop: a person has to change an option
├── CommandError           an operator's command cannot do its work; a worker never raises it
├── RecordError            dead-letter this record, go on with its neighbours
├── WriteError             InfluxDB did not answer 204
│   ├── Unavailable        try again, for ever: network, 408, 429, 5xx
│   ├── Misconfigured      keep the data, say what to fix, probe slowly: 401, 403, 404
│   ├── Rejected            find the lines that are to blame: 400, 422
│   └── TooLarge           send less at once: 413, or a write that took too long
└── DrainExpired           the time to finish in is over, or another worker has this one's place: drop what
                           is not committed
"""


class TowerError(Exception):
    """Base of all errors Tower raises itself."""


class SettingsError(TowerError):
    """An option cannot be used as it stands.

    Args:
        option: Name of the environment variable or key of the settings file.
        problem: What is wrong and what would be right, one sentence.
    """

    def __init__(self, option: str, problem: str) -> None:
        super().__init__(f"{option}: {problem}")
        self.option = option


class CommandError(TowerError):
    """A command of the operator cannot go on.

    Args:
        problem: What is wrong, and what to do next unless `do` says it.
        do: What to do next.
    """

    def __init__(self, problem: str, do: str = "") -> None:
        super().__init__(f"{problem}; {do}" if do else problem)
        self.problem = problem
        self.do = do


class RecordError(TowerError):
    """A record that can never become a point.

    Args:
        reason: One of `workers.types.Reason`; goes into the dead letter's header.
        detail: What was found, without the record's own text (it is not ours to log).
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class WriteError(TowerError):
    """InfluxDB did not acknowledge a write.

    Args:
        status: HTTP status, 0 where no answer came.
        message: The answer's own text: a sender of records can shape it, so it is data, never a log
            format, and is escaped and cut before it is logged.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status or 'no answer'}: {message}")
        self.status = status
        self.message = message


class Unavailable(WriteError):
    """Not now.

    Args:
        retry_after: Seconds the server asked to wait, None where it asked for nothing.
    """

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(status, message)
        self.retry_after = retry_after


class Misconfigured(WriteError):
    """Not with this token, organisation or bucket. Nothing was stored."""


class Rejected(WriteError):
    """Not these lines: 400 stored none of them, 422 an unknown part."""


class TooLarge(WriteError):
    """Not this much at once. Nothing (413) or an unknown part (time-out) was stored."""


class DrainExpired(TowerError):
    """The budget for finishing the batch in hand is used up."""
