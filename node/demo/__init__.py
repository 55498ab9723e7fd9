"""Tools of developers: local clusters, the demonstration, the load."""
