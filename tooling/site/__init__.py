"""The site: what mkdocs is given beside the pages in ``docs/``, and what is asked of the result."""
