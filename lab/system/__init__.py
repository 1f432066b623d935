"""Processes, files, ports and networks of this machine."""
