"""The participant's own keys: kept, unlocked, signed with."""
