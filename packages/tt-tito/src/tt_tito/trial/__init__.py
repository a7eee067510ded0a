"""Her code on trial: built, installed in a clean environment, tested and run there."""
