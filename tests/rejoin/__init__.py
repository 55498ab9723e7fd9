"""A model of rejoining that runs the node's own rules: what happens if any of them is weaker."""
