"""Files that found a network: cards of participants, genesis, configuration."""
