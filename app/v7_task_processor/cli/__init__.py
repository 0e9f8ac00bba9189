"""The command `v7`."""
