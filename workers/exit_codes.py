"""Exit codes, which supervisor.conf and the documents name too."""

OK = 0  # stopped by a signal; all is well; supervisord starts the worker again unless it sent the signal
CRASHED = 1  # an error nobody foresaw; supervisord starts the worker again
FAILED = 1  # a command could not do its work, or found that not all is well
MISCONFIGURED = 78  # an option has to be changed first (EX_CONFIG of sysexits.h); not started again
