"""Examples to start from: a transport over asyncio streams, and what three members do with it.

They use what `consensus` exports, and nothing else of it. No other module imports them.
"""
