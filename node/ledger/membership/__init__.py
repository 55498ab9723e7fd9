"""The law of who takes part: keys, proposals and votes. Pure."""
