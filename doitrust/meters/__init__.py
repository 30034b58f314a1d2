"""Meters: their numbers, the records written about them, and the 1-of-2 address of node and client. Pure."""
