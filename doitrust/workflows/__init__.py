"""What a user does with doitrust, one file each: they know ports, never adapters or the command line."""
