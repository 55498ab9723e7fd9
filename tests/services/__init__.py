"""Tests of what programs ask of a running node."""
