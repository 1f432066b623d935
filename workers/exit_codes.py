"""Exit codes, which supervisor.conf and the documents name too."""

OK = 0  # stopped by a signal, or no problem found; supervisord restarts a worker it did not stop itself
CRASHED = 1  # an unexpected error; supervisord restarts the worker
FAILED = 1  # a command failed, or found a problem
TURNED_OFF = 3  # a setting turns this program off; not restarted
MISCONFIGURED = 78  # a setting has to be changed first (EX_CONFIG of sysexits.h); not restarted
