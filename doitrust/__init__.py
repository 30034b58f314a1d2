"""doitrust: electricity meters whose certification anyone can check."""

__version__ = "0.1.0"
