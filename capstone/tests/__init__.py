"""Tests of the capstone; a package, so that its modules are not taken for the capstone's own."""
