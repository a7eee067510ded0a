"""Tests of the pages that this project makes, as Chromium shows them."""
