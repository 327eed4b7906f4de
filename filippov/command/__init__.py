"""The command line: the one place where engine, flows and discretizers meet; nothing imports it."""

from filippov.command.main import main

__all__ = ["main"]
