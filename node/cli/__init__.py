"""The `piaolian` command."""
