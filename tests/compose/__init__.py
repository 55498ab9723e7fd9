"""The four containers of docker/compose.yaml, for real."""
