"""Adapters: the outside world behind our ports (disk, Kubo, gateways, the node)."""
