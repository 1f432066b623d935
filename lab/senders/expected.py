"""What must become of a record that was sent, for those who count afterwards."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ExpectedPoint:
    """A record that must become exactly one point.

    Args:
        device: Its `deviceId`, empty if it has none.
        seq: Its number among the device's records, the field `seq`; for a record without that field its
            second.
    """

    device: str
    seq: int


@dataclass(frozen=True)
class ExpectedDeadLetter:
    """A record that must become exactly one dead letter.

    Args:
        kind: What is wrong with it.
    """

    kind: str
