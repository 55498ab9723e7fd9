"""What programs ask of a running node: writes, readings, health, status."""
