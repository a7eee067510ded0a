"""For teachers: grading code that nobody trusts, and what students start from."""
