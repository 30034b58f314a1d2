"""Doichain Core, asked by RPC. `rpc` is the line to it, `settings` where it is, `node` what it says."""
