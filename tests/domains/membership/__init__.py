"""Tests of membership's application."""
