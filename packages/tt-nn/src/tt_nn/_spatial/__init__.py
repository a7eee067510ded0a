"""Convolution, pooling, and what else knows of height and width."""
