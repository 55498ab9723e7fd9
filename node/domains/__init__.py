"""The applications: one folder for each domain, none of which knows another."""
