"""What a Doichain is: networks, scripts, name outputs, transactions, blocks. Pure bytes, no I/O.

`btclib` parses transactions and computes signature hashes, libsecp256k1 (through coincurve) checks
signatures; both are used only in this package.
"""
