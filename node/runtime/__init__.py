"""What runs a node: its parts put together."""
