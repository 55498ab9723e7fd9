"""What every node has: blocks and certificates taken, kept and told on, and evidence of lies."""
