"""The servers themselves, from wheels: what `ringi up`, the demo, the tests and the benchmarks run on."""

from runtime.embedded.postgres import PostgresServer
from runtime.embedded.processes import Child, DataFolder, EmbeddedError, free_port, python_process
from runtime.embedded.temporal import TemporalServer

__all__ = ["Child", "DataFolder", "EmbeddedError", "PostgresServer", "TemporalServer", "free_port", "python_process"]
