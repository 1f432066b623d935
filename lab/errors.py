"""What can go wrong in the lab.

LabError                 anything the person at the terminal can act on
  +-- MissingError       a program or a package is not there; says how to get it
  +-- BusyError          a port or a lock is held by somebody else
  +-- SlowError          a bounded wait ran out
"""


class LabError(Exception):
    """A sentence for the person at the terminal: what is wrong and what to do next."""


class MissingError(LabError):
    """Something the lab needs is not on this machine."""


class BusyError(LabError):
    """A port, a folder or a lock is in use."""


class SlowError(LabError):
    """Something did not happen within its time."""
