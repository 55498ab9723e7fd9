"""A member at work on asyncio: turns, stores, state machine, and whoever waits."""
