"""What belongs to the machine: configuration, clocks, logs, processes, room on the disk."""
