"""The command line: parse, call one workflow, render what it returns. The only place that wires adapters."""
