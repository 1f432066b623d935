"""All errors that Tower raises, grouped by how the loop handles them.

TowerError
├── SettingsError          stop: an operator has to change a setting
├── CommandError           an operator's command fails; a worker never raises it
├── RecordError            make this record a dead letter and continue with the next one
├── WriteError             InfluxDB did not answer 204
│   ├── Unavailable        try again without end: network, 408, 429, 5xx, another server's answer
│   ├── Misconfigured      keep the batch, log what to correct, try again slowly: 401, 403, 404
│   ├── Rejected           find the lines that InfluxDB rejects: 400, 422
│   └── TooLarge           send fewer lines at once: 413, or a write that took too long
├── LacksResources         Kafka's client cannot be created now: try again, or end and be started again
└── DrainExpired           the time to finish is over, or another worker has replaced this one: drop what
                           is not committed
"""


class TowerError(Exception):
    """Base class of all errors that Tower raises."""


class SettingsError(TowerError):
    """A setting has a value that cannot be used.

    Args:
        option: Name of the environment variable or key of the settings file.
        problem: What is wrong and which value would be right, in one sentence.
    """

    def __init__(self, option: str, problem: str) -> None:
        super().__init__(f"{option}: {problem}")
        self.option = option


class CommandError(TowerError):
    """An operator's command cannot continue.

    Args:
        problem: What is wrong, and what to do next unless `do` says it.
        do: What to do next.
    """

    def __init__(self, problem: str, do: str = "") -> None:
        super().__init__(f"{problem}; {do}" if do else problem)
        self.problem = problem
        self.do = do


class RecordError(TowerError):
    """A record that cannot become a point.

    Args:
        reason: One of `workers.types.Reason`, for the dead letter's header.
        detail: What is wrong, without the record's own text, which must not be logged.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class WriteError(TowerError):
    """InfluxDB did not acknowledge a write.

    Args:
        status: HTTP status, 0 if no answer came.
        message: The answer's text. It may quote a record, so it is never used as a log format, and is
            escaped and cut before it is logged.
        advice: What an operator can do about it, in sentences; empty if only the usual is known.
    """

    def __init__(self, status: int, message: str, advice: str = "") -> None:
        super().__init__(f"{status}: {message}" if status else message)
        self.status = status
        self.message = message
        self.advice = advice


class Unavailable(WriteError):
    """InfluxDB is not available now.

    Args:
        retry_after: Seconds that the server asked to wait; None if it did not.
    """

    def __init__(
        self, status: int, message: str, retry_after: float | None = None, advice: str = ""
    ) -> None:
        super().__init__(status, message, advice)
        self.retry_after = retry_after


class Misconfigured(WriteError):
    """InfluxDB does not accept this token, organisation or bucket. Nothing was stored."""


class Rejected(WriteError):
    """InfluxDB rejects some of the lines. A 400 stored none of them, a 422 an unknown part."""


class TooLarge(WriteError):
    """Too many lines at once. A 413 stored none of them, a time-out an unknown part.

    Args:
        by_influxdb: False if something else answered, such as a proxy. It cannot judge a single line.
    """

    def __init__(self, status: int, message: str, advice: str = "", *, by_influxdb: bool = True) -> None:
        super().__init__(status, message, advice)
        self.by_influxdb = by_influxdb


class LacksResources(TowerError):
    """The machine lacks threads or memory for one of Kafka's clients.

    Args:
        text: What the client says.
    """

    def __init__(self, text: str) -> None:
        super().__init__(
            f"this machine lacks threads or memory for Kafka's client ({text}). Allow this user more "
            "processes (`ulimit -u`, TasksMax of a systemd unit), or make memory free"
        )


class DrainExpired(TowerError):
    """The time to finish the batch in hand is over."""
