"""Details that only their recipients read: sealed, opened, kept."""
