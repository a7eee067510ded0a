"""Activation functions and their layers."""
