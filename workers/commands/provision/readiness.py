"""Waits until Kafka and InfluxDB can be provisioned."""

from collections.abc import Callable
from typing import TypeVar

from workers.commands.clients.kafka_admin import KafkaAdmin
from workers.commands.console import ProgressWait
from workers.config.settings import Settings
from workers.errors import CommandError

#: Seconds between two attempts.
RETRY_S = 1.0

Result = TypeVar("Result")


def retried(attempt: Callable[[], Result], wait: ProgressWait) -> Result:
    """Call `attempt` until it succeeds; its result.

    Args:
        attempt: Raises CommandError as long as the server is not ready.
        wait: Bounds and shows the wait. One that is already over allows one attempt.

    Raises:
        CommandError: The last attempt's, if the time is up.
    """
    while True:
        try:
            return attempt()
        except CommandError as error:
            if wait.is_over:
                raise
            wait.pause(RETRY_S, f": {error.problem}")


def connect(settings: Settings, replication: int | None, wait: ProgressWait) -> KafkaAdmin:
    """Connect to Kafka once a broker answers and there are enough brokers for all copies.

    Args:
        settings: The bootstrap servers and how to reach them.
        replication: Brokers that are needed, None if one is enough.
        wait: Bounds and shows the wait.

    Raises:
        CommandError: Kafka is not ready in time.
    """
    kafka_admin = retried(lambda: KafkaAdmin(settings), wait)

    def require_brokers() -> None:
        brokers = len(kafka_admin.brokers())
        if brokers < (replication or 1):
            raise CommandError(
                f"--replication {replication} needs {replication} brokers, and there are {brokers}",
                "start the missing brokers, or choose a lower --replication",
            )

    retried(require_brokers, wait)
    return kafka_admin
