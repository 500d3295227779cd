"""Keyboard and mouse, and the controller that they hang on."""
