"""The law of who takes part, rule by rule."""
