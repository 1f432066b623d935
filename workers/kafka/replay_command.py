"""The command that resets the offset of one partition, as logs, `status` and `check` recommend it."""

from workers.types import PartitionKey, topic_and_number


def replay_command(key: PartitionKey) -> str:
    """Return the command after which a partition is read from the first record that Kafka still has.

    Args:
        key: Number of the partition if there is one topic, else its topic and number.
    """
    topic, number = topic_and_number(key, only_topic="")
    return f"tower replay {f'--topic {topic} ' if topic else ''}--partition {number} --from earliest"
