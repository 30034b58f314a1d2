"""What a Doichain is: networks, scripts, name outputs, transactions, blocks. Pure bytes, no I/O.

`btclib` computes signature hashes and runs scripts, libsecp256k1 (through coincurve) checks
signatures; both are used only in this package.
"""
