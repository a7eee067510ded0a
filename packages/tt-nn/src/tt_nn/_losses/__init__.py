"""Loss functions and their layers."""
