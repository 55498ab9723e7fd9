"""What a transaction may do: pure, synchronous rules over a state view."""
