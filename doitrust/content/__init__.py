"""Content addressing: CIDs, and files as the blocks that IPFS knows them by. Pure; no network, no disk."""
