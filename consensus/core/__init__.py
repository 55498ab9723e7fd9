"""The rules of Raft as a state machine: no input, no output, no clock, no randomness of its own."""
