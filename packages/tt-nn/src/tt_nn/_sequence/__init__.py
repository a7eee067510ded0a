"""Embedding, positions, attention, transformers, and generation."""
