"""The node at the meter: reading it."""
