"""The JSON API for local programs, its event stream and its description."""
